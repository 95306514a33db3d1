from .apogee_dr10 import load_dr10 as load_dr10
from .apogee_galah import load_apogee_galah as load_apogee_galah
from .apogee_galah import make_survey_file as make_survey_file
from .apogee_galah import plan_fetch as plan_fetch
from .crossmatch import selection_table as selection_table
from .request import Request as Request
