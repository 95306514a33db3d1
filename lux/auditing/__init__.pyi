from .audit import audit_models as audit_models
from .evidence import Evidence as Evidence
from .evidence import Kind as Kind
from .label_lines import default_lines as default_lines
from .report import Report as Report
from .report import summary as summary
from .settings import AuditSettings as AuditSettings
