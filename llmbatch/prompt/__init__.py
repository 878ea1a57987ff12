"""Prompts: files and texts with placeholders, parsed into templates and rendered into messages."""

from llmbatch.prompt.file import DEFAULT_SYSTEM, parse_prompt_file, parse_prompt_text
from llmbatch.prompt.prompts import Prompts, find_prompt, is_prompt_file
from llmbatch.prompt.template import Template

__all__ = [
    "DEFAULT_SYSTEM",
    "Prompts",
    "Template",
    "find_prompt",
    "is_prompt_file",
    "parse_prompt_file",
    "parse_prompt_text",
]
