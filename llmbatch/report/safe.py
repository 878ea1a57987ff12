"""Text from data made fit for a terminal. Knows nothing of what the text says.

A terminal obeys escape sequences in whatever is printed (CWE-150), and rich's `Text` passes them on. So
everything that comes from samples, models, services or cassettes goes through `safe`, then into
`rich.text.Text`, never markup.
"""

from __future__ import annotations


def _shown() -> dict[int, str]:
    pictures = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    bidi = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    escaped = (*range(0x80, 0xA0), 0x2028, 0x2029, *bidi)
    surrogates = range(0xD800, 0xE000)
    return {
        **pictures,
        0x7F: "\u2421",
        **{code: f"\\u{code:04x}" for code in (*escaped, *surrogates)},
    }


_SHOWN = _shown()


def safe(text: str) -> str:
    """Return the text with every character a terminal would obey made visible: ESC as its picture, ␛.

    C0 controls but newline and tab, DEL, C1 controls, line and paragraph separators, bidirectional controls
    (Trojan Source, CVE-2021-42574) and lone surrogates. Everything else is as it was.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_SHOWN)
