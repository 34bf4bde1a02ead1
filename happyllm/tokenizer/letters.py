"""Bytes as letters: how a byte that cannot be printed stands in a vocabulary file."""

from __future__ import annotations


def _printable(byte: int) -> bool:
    return 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255


# The bytes in the order of their letters: first those that are letters themselves, then the rest.
BYTE_ORDER = bytes(
    [b for b in range(256) if _printable(b)] + [b for b in range(256) if not _printable(b)]
)

# GPT-2 writes each byte as one visible character: itself where it is one in Latin-1, otherwise
# one from U+0100 up. The space becomes Ġ, the line break Ċ.
LETTER = {
    byte: chr(byte) if _printable(byte) else chr(256 + i - 188) for i, byte in enumerate(BYTE_ORDER)
}
BYTE = {letter: byte for byte, letter in LETTER.items()}


def letters_of(piece: bytes) -> str:
    """Write bytes as GPT-2's letters.

    Example:
        >>> letters_of(" é".encode())
        'ĠÃ©'
    """
    return "".join(LETTER[byte] for byte in piece)


def bytes_of(letters: str) -> bytes:
    """Read bytes from GPT-2's letters.

    Raises:
        KeyError: A character stands for no byte.

    Example:
        >>> bytes_of("ĠÃ©").decode()
        ' é'
    """
    return bytes(BYTE[letter] for letter in letters)
