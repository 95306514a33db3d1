from .dependencies import Package as Package
from .products import kept as kept
from .products import product_key as product_key
from .products import store_dir as store_dir
