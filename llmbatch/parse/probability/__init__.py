"""The probability of each label at a closed place of an answer, from the logprobs of its reply.

`fields` finds the place in the shape, `locating` in the text; `tokens` reads what the service lists, `aligning` lays it
beside the text; `spelling` says which labels a beginning may become, `tree` adds up; `doubts` says what such numbers
are not. `measuring` is all of it for one answer.
"""

from llmbatch.parse.probability.doubts import why_not_comparable
from llmbatch.parse.probability.fields import ClosedField, closed_field
from llmbatch.parse.probability.measuring import Measured, measure

__all__ = ["ClosedField", "Measured", "closed_field", "measure", "why_not_comparable"]
