"""CAP alerts (1.1 and 1.2) and the indexes that list them: Atom (RFC 4287) and RSS 2.0.

Rules
  - An index entry that carries the alert's own elements needs no second request; any other is followed by its link.
  - A polygon, circle or code that cannot be read is left out: the area is then one that cannot be compared.

Source: OASIS Common Alerting Protocol 1.2, sections 3.2.1 to 3.2.4.
"""

from collections.abc import Iterator
from math import isfinite
from xml.etree.ElementTree import Element

from envmon.weather.message import Area, Document, Info, Message, MessageError
from envmon.weather.xml import children, local, read, text

ENDING = "eventendingtime"  # a parameter of the IPAWS profile: the event's own end


def parse(body: bytes) -> Document:
    """Read an alert or an index. Raises MessageError."""
    root = read(body)
    match local(root):
        case "alert":
            return Document((_alert(root),))
        case "feed":
            return _index(children(root, "entry"))
        case "rss" if (channel := next(children(root, "channel"), None)) is not None:
            return _index(children(channel, "item"))
        case other:
            raise MessageError(f"the XML is neither a CAP alert nor an Atom or RSS index, but {other[:40]!r}")


def _index(entries: Iterator[Element]) -> Document:
    messages: list[Message] = []
    links: list[str] = []
    faults: list[str] = []
    for number, entry in enumerate(entries):
        try:
            message = _inline(entry)
        except MessageError as fault:
            faults.append(f"entry {number}: {fault}")
            continue
        if message is not None:
            messages.append(message)
        elif link := _link(entry):
            links.append(link)
        else:
            faults.append(f"entry {number} has neither an alert nor a link to one")
    return Document(tuple(messages), tuple(dict.fromkeys(links)), tuple(faults))


def _inline(entry: Element) -> Message | None:
    """The alert an entry carries, whole or as flat elements; None when it only points at one."""
    inside = [*children(entry, "alert"), *(alert for each in children(entry, "content") for alert in each)]
    if inside and local(inside[0]) == "alert":
        return _alert(inside[0])
    return _entry(entry) if text(entry, "event") and text(entry, "expires") else None


def _link(entry: Element) -> str:
    """The link of an entry: the one that says it is CAP, else the first."""
    found = [(link.get("type", ""), link.get("href") or (link.text or "").strip()) for link in children(entry, "link")]
    return next((to for kind, to in found if "cap" in kind and to), next((to for _, to in found if to), ""))


def _alert(alert: Element) -> Message:
    identifier = text(alert, "identifier")
    if not identifier:
        raise MessageError("a CAP alert has no identifier")
    return Message(
        sender=text(alert, "sender"),
        identifier=identifier,
        sent=text(alert, "sent"),
        status=text(alert, "status").lower(),
        kind=text(alert, "msgType").lower(),
        references=tuple(_references(text(alert, "references"))),
        infos=tuple(
            _info(info, tuple(_area(area) for area in children(info, "area"))) for info in children(alert, "info")
        ),
    )


def _entry(entry: Element) -> Message:
    """An index entry that carries the elements of its alert flat, as NWS and Meteoalarm write them."""
    return Message(
        sender=text(entry, "sender"),
        identifier=text(entry, "identifier") or text(entry, "id"),
        sent=text(entry, "sent") or text(entry, "updated"),
        status=(text(entry, "status") or "actual").lower(),
        kind=(text(entry, "msgType") or text(entry, "message_type") or "alert").lower(),
        references=tuple(_references(text(entry, "references"))),
        infos=(_info(entry, (_area(entry),)),),
    )


def _info(info: Element, areas: tuple[Area, ...]) -> Info:
    ends = [
        text(parameter, "value")
        for parameter in children(info, "parameter")
        if text(parameter, "valueName").lower() == ENDING
    ]
    return Info(
        event=text(info, "event"),
        severity=text(info, "severity").lower(),
        urgency=text(info, "urgency").lower(),
        response=text(info, "responseType").lower(),
        onset=text(info, "onset") or text(info, "effective"),
        expires=text(info, "expires"),
        ends=ends[0] if ends else "",
        headline=text(info, "headline") or text(info, "title"),
        areas=areas,
    )


def _references(given: str) -> Iterator[tuple[str, str]]:
    """``sender,identifier,sent`` triples, separated by white space (3.2.1)."""
    for triple in given.split():
        sender, _, rest = triple.partition(",")
        identifier = rest.rpartition(",")[0]
        if identifier:
            yield sender, identifier


def _area(area: Element) -> Area:
    polygons = [polygon for each in children(area, "polygon") if len(polygon := _corners(each.text or "")) > 2]
    circles = [circle for each in children(area, "circle") if (circle := _circle(each.text or "")) is not None]
    codes = [code for each in children(area, "geocode") for value in children(each, "value") for code in _codes(value)]
    return Area(tuple(polygons), tuple(circles), frozenset(codes))


def _codes(value: Element) -> list[str]:
    return (value.text or "").split()


def _corners(given: str) -> tuple[tuple[float, float], ...]:
    """``lat,lon`` pairs separated by white space; none when one of them cannot be read."""
    pairs = [_numbers(pair, 2) for pair in given.split()]
    return tuple((pair[0], pair[1]) for pair in pairs if pair) if all(pairs) else ()


def _circle(given: str) -> tuple[float, float, float] | None:
    """``lat,lon radius``, the radius in km."""
    numbers = _numbers(given.replace(" ", ",", 1), 3)
    return (numbers[0], numbers[1], numbers[2]) if numbers else None


def _numbers(given: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in given.split(","))
    except ValueError:
        return ()
    return numbers if len(numbers) == count and all(map(isfinite, numbers)) else ()
