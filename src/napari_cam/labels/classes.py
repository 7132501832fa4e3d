"""Which number in a labels image means what: codes, names and colours."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cam import checks
from napari_cam.errors import MaskError, NapariCamError
from napari_cam.files import check_writable, writing

UNLABELLED = 0
"""Nobody said what lies here: napari's transparent label, "ignore" for whoever trains on it."""

BACKGROUND = 1
FIRST_CLASS = 2
HIGHEST = 255

# Okabe and Ito (2008), told apart by colour-blind people; grey is the background's.
_GREY = "#999999"
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_HEADER = ("code", "name", "colour")


@dataclass(frozen=True)
class LabelClass:
    """One class of a labels image.

    Attributes
    ----------
    code
        Its number in the image, 1 to 255.
    name
        Name of the class.
    colour
        "#RRGGBB".

    Raises
    ------
    MaskError
        If the code is out of range, the name is empty or the colour is not valid.
    """

    code: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        what = f"The label of class '{self.name}'"
        checks.whole(self.code, what, MaskError, least=1, most=HIGHEST)
        object.__setattr__(self, "name", self.name.strip())
        if not self.name:
            raise MaskError(f"The class of label {self.code} has no name; give it one.")
        if not _COLOUR.fullmatch(self.colour):
            raise MaskError(
                f"'{self.colour}' of class '{self.name}' is no colour; write it as #RRGGBB."
            )

    @property
    def is_background(self) -> bool:
        """Whether it is background: by its name, or by code 1 and a name other than "label ..."."""
        unnamed = self.name.startswith("label ")
        return self.name.casefold() == "background" or (self.code == BACKGROUND and not unnamed)


@dataclass(frozen=True)
class LabelClasses(Sequence[LabelClass]):
    """The classes of a labels image, in the order of their codes.

    Raises
    ------
    MaskError
        If two classes share a code or a name.
    """

    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.classes, key=lambda each: each.code))
        object.__setattr__(self, "classes", ordered)
        for what, values in (("label", self.codes), ("name", self.names)):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise MaskError(f"Two classes have the {what} '{twice}'; give each its own.")

    @classmethod
    def of_seeds(cls, names: Sequence[str], background: str = "background") -> LabelClasses:
        """Return the classes of seeds: 1 is background, 2 and up are `names`, with own colours."""
        classes = [LabelClass(BACKGROUND, background, _GREY)]
        classes += [
            LabelClass(FIRST_CLASS + place, name, _COLOURS[place % len(_COLOURS)])
            for place, name in enumerate(names)
        ]
        return cls(tuple(classes))

    @property
    def background(self) -> int | None:
        """The background's code; None if no class is background."""
        return next((each.code for each in self.classes if each.is_background), None)

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str]) -> LabelClasses:
        """Read a table with the columns code, name, colour.

        Raises
        ------
        MaskError
            If the file is not such a table.
        """
        try:
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
            return cls(
                tuple(LabelClass(int(row["code"]), row["name"], row["colour"]) for row in rows)
            )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise MaskError(f"{path} cannot be read as a table of classes: {error}.") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MaskError(
                f"{path} is no table of classes; its columns must be code, name and colour."
            ) from error

    def write_csv(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the table with the columns code, name, colour.

        Raises
        ------
        WriteError
            If the file exists already or its folder is not writable.
        """
        path = Path(path)
        check_writable(path, overwrite)
        with writing(path, overwrite) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows((each.code, each.name, each.colour) for each in self)
        return path

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes of the classes."""
        return tuple(each.code for each in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the codes."""
        return tuple(each.name for each in self.classes)

    def code_of(self, name: str) -> int:
        """Return the code of the class with this name.

        Raises
        ------
        MaskError
            If no class has this name.
        """
        for each in self.classes:
            if each.name == name:
                return each.code
        raise MaskError(f"No class is called '{name}'; there are {', '.join(self.names)}.")

    def to_json(self) -> list[dict[str, int | str]]:
        """Return the classes as plain JSON, for `from_json`."""
        return [{"code": each.code, "name": each.name, "colour": each.colour} for each in self]

    @classmethod
    def from_json(cls, facts: object) -> LabelClasses:
        """Return the classes that `to_json` described.

        Raises
        ------
        MaskError
            If `facts` does not describe classes.
        """
        try:
            return cls(
                tuple(
                    LabelClass(int(each["code"]), str(each["name"]), str(each["colour"]))
                    for each in facts  # type: ignore[attr-defined]
                )
            )
        except NapariCamError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise MaskError("The record states no classes with code, name and colour.") from error

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        return self.classes[place]

    def __iter__(self) -> Iterator[LabelClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)
