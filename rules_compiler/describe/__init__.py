"""Plain-language text of a promotion, English and Russian, for those who write and approve them.

The text is made from the document, not from the compiled program: what a person wrote is what a
person reads back, with the names that compilation does away with. English stands in the code,
other languages in catalogues under ``locales``.
"""

from rules_compiler.describe.programme import describe_programme
from rules_compiler.describe.promotion import describe_promotion

__all__ = ["describe_programme", "describe_promotion"]
