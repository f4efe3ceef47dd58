"""Elements of the page as Python objects; what they do in the browser is in the .js files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

THROTTLE = 0.04
"""Least seconds between two values of a slider that is being dragged; the last one always arrives."""


@attrs.frozen
class Scale:
    """A slider's range and how its value is said.

    low, high, step, home: as the number of a motion edit.  factor, digits, unit: how it is shown.  less, more: words for negative
    and positive numbers; "" shows the number itself.  flip: the right end is ``low``, so that dragging goes the way the picture goes.
    """

    label: str
    low: float
    high: float
    step: float
    home: float = 0.0
    factor: float = 1.0
    digits: int = 0
    unit: str = ""
    less: str = ""
    more: str = ""
    flip: bool = False


class Dial(Element, component="dial.js"):
    """A labelled slider with a reset button; ``changed`` is told every new number."""

    def __init__(self, scale: Scale, changed: Callable[[float], None]) -> None:
        super().__init__()
        self.scale, self.changed = scale, changed
        self._props.update(
            label=scale.label, min=scale.low, max=scale.high, step=scale.step, home=scale.home, factor=scale.factor, digits=scale.digits,
            unit=scale.unit, less=scale.less, more=scale.more, flip=scale.flip, disabled=False,
        )  # fmt: skip
        self.on("change", self._moved, throttle=THROTTLE)

    def _moved(self, event: GenericEventArguments) -> None:
        number = event.args
        if isinstance(number, (int, float)):  # comes from the browser: only ever a number within the range
            self.changed(min(max(float(number), self.scale.low), self.scale.high))

    def enable(self, on: bool) -> None:
        """Switch it on or off."""
        self._props["disabled"] = not on
        self.update()

    def range(self, high: float, value: float) -> None:
        """Change its upper end, and its value without telling ``changed``."""
        self.scale = attrs.evolve(self.scale, high=high, home=value)
        self._props.update(max=high, home=value)
        self.update()
        self.run_method("set", value)

    def home(self) -> None:
        """Back to where it started, without telling ``changed``."""
        self.run_method("set", self.scale.home)


class Choice(Element, component="choice.js"):
    """One of several, as a row of radio buttons; options are (key, text, explanation)."""

    def __init__(self, label: str, options: Sequence[tuple[str, str, str]], initial: str, changed: Callable[[str], None]) -> None:
        super().__init__()
        self.keys, self.changed = {key for key, _, _ in options}, changed
        rows = [{"key": key, "text": text, "title": title} for key, text, title in options]
        self._props.update(label=label, options=rows, initial=initial, disabled=False)
        self.on("change", self._picked)

    def _picked(self, event: GenericEventArguments) -> None:
        if isinstance(event.args, str) and event.args in self.keys:
            self.changed(event.args)

    def enable(self, on: bool) -> None:
        """Switch it on or off."""
        self._props["disabled"] = not on
        self.update()


class Drop(Element, component="drop.js"):
    """A place to drop or choose a file, which then shows what it holds."""

    def __init__(self, **props: Any) -> None:
        super().__init__()
        self._props.update(shown="", name="", facts="", state="", error="", remedy="", **props)

    def show(self, **props: str) -> None:
        """Change what it shows: shown (address), name, facts, state, error, remedy."""
        self._props.update(props)
        self.update()


class Compare(Element, component="compare.js"):
    """Portrait, driving clip ("" for none) and result side by side; videos play together, a ``still`` result is a picture."""

    def __init__(self, portrait: str, driving: str, result: str, still: bool) -> None:
        super().__init__()
        self._props.update(portrait=portrait, driving=driving, result=result, still=still)


class Text(TextElement):
    """An HTML element that holds text."""

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        if classes:
            self.classes(classes)


class Button(Text):
    """A button of ours; ``kind`` is "main" or "quiet"."""

    def __init__(self, text: str, pressed: Callable[[], Any], kind: str = "quiet") -> None:
        super().__init__("button", text, f"button button--{kind}")
        self._props["type"] = "button"
        self.on("click", lambda: pressed())

    def enable(self, on: bool) -> None:
        """Switch it on or off."""
        if on:
            self._props.pop("disabled", None)
        else:
            self._props["disabled"] = True
        self.update()


class Picture(Element):
    """An image given as address or data URL."""

    def __init__(self, alt: str) -> None:
        super().__init__("img")
        self._props["alt"] = alt

    def show(self, address: str) -> None:
        """Show another image."""
        self._props["src"] = address
        self.update()
