from .evidence import Evidence as Evidence
from .label_lines import default_lines as default_lines
from .report import Report as Report
