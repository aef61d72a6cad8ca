"""Moments in words, without a calendar library: the core knows no clock.

Rules
  - Always UTC and always said so: a page is read in more than one time zone.
"""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY_S = 86_400


def clock(wall: float) -> str:
    """Unix seconds as a time of day: 05:00 UTC."""
    minute = int(wall) % DAY_S // 60
    return f"{minute // 60:02d}:{minute % 60:02d} UTC"


def moment(wall: float) -> str:
    """Unix seconds as a day and a time to the second: 29 May 2015 03:30:05 UTC."""
    year, month, day = _civil(int(wall) // DAY_S)
    second = int(wall) % DAY_S
    time = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{day} {MONTHS[month - 1]} {year} {time} UTC"


def until(wall: float, now: float) -> str:
    """A moment to come, with its day when that is not today's."""
    if int(wall) // DAY_S == int(now) // DAY_S:
        return clock(wall)
    _, month, day = _civil(int(wall) // DAY_S)
    return f"{day} {MONTHS[month - 1]} {clock(wall)}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day number since 1 Jan 1970 (proleptic Gregorian, eras of 400 years from March)."""
    shifted = days + 719_468
    era, in_era = shifted // 146_097, shifted % 146_097
    year = (in_era - in_era // 1_460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    march = (5 * in_year + 2) // 153
    day = in_year - (153 * march + 2) // 5 + 1
    month = march + 3 if march < 10 else march - 9
    return year + era * 400 + (month <= 2), month, day
