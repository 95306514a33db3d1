from .record import Record as Record
from .subject import audited_label as audited_label
from .subject import caveat as caveat
