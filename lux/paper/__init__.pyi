from .record import Record as Record
from .setup import Chapter as Chapter
from .setup import begin as begin
from .subject import audited_label as audited_label
from .subject import caveat as caveat
