"""What others say, as people can read it: one printable line of bounded length."""

TEXT = 200  # characters


def line(text: str, most: int = TEXT) -> str:
    """One printable line of a text, at most ``most`` characters; what cannot be shown is a space.

    Control characters, half surrogate pairs, and letters that turn the direction of reading cannot be shown.
    """
    if len(text) <= most and text.isprintable():
        return " ".join(text.split())
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
