# SPDX-License-Identifier: Apache-2.0
"""The one table of finding codes. Codes are stable; each has a section in the docs.

The hundreds say what a code is about: 1 reading, 2 generations, 3 variables,
4 the shape of files, 5 components, 6 sense across files, 7 the site's policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means.

    Attributes:
        severity: What its findings are, unless the finding says otherwise.
        title: What is wrong, in a few words.
        old_archive: A warning that ``"strict": true`` turns into an error.
    """

    severity: Severity
    title: str
    old_archive: bool = False


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CODES: dict[str, Code] = {
    "MMAR101": Code(_E, "The folder cannot be read"),
    "MMAR102": Code(_E, "A required file is missing"),
    "MMAR103": Code(_E, "A link leaves the folder, or leads nowhere"),
    "MMAR104": Code(_E, "Something is not a plain file or folder"),
    "MMAR105": Code(_E, "A file is too large"),
    "MMAR106": Code(_E, "The folder holds too much"),
    "MMAR107": Code(_E, "A file name is not safe"),
    "MMAR108": Code(_E, "A file cannot be read"),
    "MMAR109": Code(_W, "A file seems to be misnamed"),
    "MMAR110": Code(_E, "Not valid JSON"),
    "MMAR111": Code(_W, "A key stands twice in one object", old_archive=True),
    "MMAR112": Code(_E, "A number is not finite"),
    "MMAR113": Code(_E, "The file begins with a byte-order mark"),
    "MMAR114": Code(_E, "The file is not UTF-8"),
    "MMAR115": Code(_E, "The JSON is nested too deeply"),
    "MMAR116": Code(_E, "The JSON holds too many values"),
    "MMAR117": Code(_E, "The signature file is damaged"),
    "MMAR118": Code(_E, "Not plain YAML"),
    "MMAR201": Code(_E, "The job is in another system's format"),
    "MMAR202": Code(_E, "The format_version is unknown"),
    "MMAR203": Code(_W, "Server and client files are of different generations"),
    "MMAR210": Code(_N, "An older key was upgraded"),
    "MMAR211": Code(_N, "A key has no effect here"),
    "MMAR212": Code(_N, "An older component is not needed here"),
    "MMAR213": Code(_N, "An older argument was brought up to date"),
    "MMAR220": Code(_E, "A workflow is TensorFlow's"),
    "MMAR221": Code(_E, "An older component is not available"),
    "MMAR222": Code(_W, "A component is not called here"),
    "MMAR301": Code(_W, "Nothing defines a variable"),
    "MMAR302": Code(_E, "Variables refer to each other in a circle"),
    "MMAR303": Code(_W, "A setting is used nowhere"),
    "MMAR304": Code(_W, "An expression is never evaluated"),
    "MMAR305": Code(_W, "Only the other side uses a setting"),
    "MMAR306": Code(_N, "A variable is used nowhere"),
    "MMAR307": Code(_W, "A setting is a relative path"),
    "MMAR401": Code(_E, "A required key is missing"),
    "MMAR402": Code(_E, "A value has the wrong type"),
    "MMAR403": Code(_E, "A value is not allowed"),
    "MMAR404": Code(_W, "A key is unknown"),
    "MMAR405": Code(_W, "An expression may take for ever"),
    "MMAR406": Code(_W, "A key stands in two places"),
    "MMAR501": Code(_E, "A component is not installed"),
    "MMAR502": Code(_E, "A component is of another kind"),
    "MMAR503": Code(_E, "A class path leads to nothing that is installed"),
    "MMAR504": Code(_E, "A component has neither name nor path"),
    "MMAR505": Code(_W, "A component has both name and path", old_archive=True),
    "MMAR506": Code(_W, "A key was disabled by renaming it", old_archive=True),
    "MMAR507": Code(_W, "A component declaration has an unknown key"),
    "MMAR508": Code(_E, "A module is not in custom/"),
    "MMAR509": Code(_E, "A module in custom/ does not define the class"),
    "MMAR510": Code(_W, "A module in custom/ has the name of another module"),
    "MMAR511": Code(_E, "An argument is missing"),
    "MMAR512": Code(_E, "An argument is unknown"),
    "MMAR513": Code(_E, "An argument has the wrong type"),
    "MMAR514": Code(_E, "An argument's value is not allowed"),
    "MMAR515": Code(_N, "A component is named by an older name"),
    "MMAR516": Code(_E, "A required component is switched off"),
    "MMAR517": Code(_E, "A reference leads to nothing"),
    "MMAR518": Code(_E, "Two plugins claim a name"),
    "MMAR519": Code(_E, "Code in custom/ is not Python"),
    "MMAR520": Code(_W, "Code in custom/ imports what is not installed"),
    "MMAR521": Code(_E, "A class in custom/ is not what its slot asks for"),
    "MMAR522": Code(_W, "A package that a part needs is not installed"),
    "MMAR523": Code(_W, "A reference may mean several parts"),
    "MMAR524": Code(_E, "A component cannot be declared"),
    "MMAR530": Code(_N, "A class in custom/ runs behind an adapter"),
    "MMAR531": Code(_E, "Nothing that is installed adapts a class in custom/"),
    "MMAR532": Code(_E, "A class in custom/ is of the TensorFlow generation"),
    "MMAR533": Code(_E, "Code in custom/ uses what no adapter provides"),
    "MMAR601": Code(_E, "Server and client name different tasks"),
    "MMAR602": Code(_E, "The minimum of clients is above the maximum"),
    "MMAR603": Code(_E, "There is no round to run"),
    "MMAR604": Code(_E, "clients_per_round does not fit the bounds"),
    "MMAR605": Code(_E, "Filters do not pair"),
    "MMAR606": Code(_W, "A weight is given to a client that is not listed"),
    "MMAR607": Code(_W, "Nobody answers a result topic"),
    "MMAR608": Code(_E, "Nothing gives the initial model"),
    "MMAR609": Code(_E, "A workflow file is missing"),
    "MMAR610": Code(_E, "A path leaves the folder"),
    "MMAR611": Code(_W, "The deadline ends the wait"),
    "MMAR612": Code(_N, "Certificates come from the start-up kit"),
    "MMAR613": Code(_W, "The logging configuration cannot be used"),
    "MMAR614": Code(_N, "The MMAR brings code"),
    "MMAR615": Code(_N, "The MMAR brings its own data list"),
    "MMAR616": Code(_W, "Cross-site validation is only half switched on"),
    "MMAR617": Code(_N, "Nothing validates on the server"),
    "MMAR618": Code(_E, "Two handlers choose the best model"),
    "MMAR619": Code(_W, "Only the first server is used"),
    "MMAR620": Code(_E, "Aggregator and trainer do not fit"),
    "MMAR621": Code(_E, "A file that is referred to is missing"),
    "MMAR622": Code(_W, "Code lies outside custom/"),
    "MMAR623": Code(_W, "Server and trainer declare different models"),
    "MMAR625": Code(_E, "The server runs no code of the MMAR"),
    "MMAR626": Code(_W, "A client's handlers are not called"),
    "MMAR627": Code(_W, "The server never validates"),
    "MMAR628": Code(_W, "Nobody measures the metric"),
    "MMAR629": Code(_E, "Two processors answer one topic"),
    "MMAR630": Code(_E, "The network does not fit the data"),
    "MMAR631": Code(_E, "A checkpoint cannot be read"),
    "MMAR632": Code(_W, "Two metrics have one label"),
    "MMAR633": Code(_N, "The MMAR holds expressions"),
    "MMAR634": Code(_W, "The largest loss is to be the best"),
    "MMAR635": Code(_E, "A part works on what is not there"),
    "MMAR640": Code(_E, "The checkpoint does not fit the network"),
    "MMAR641": Code(_W, "Every tensor is excluded"),
    "MMAR642": Code(_W, "Models are measured on the data they are trained on"),
    "MMAR643": Code(_W, "Two metrics are to be the key metric"),
    "MMAR644": Code(_N, "A file is not read"),
    "MMAR645": Code(_W, "The MMAR holds a private key"),
    "MMAR646": Code(_N, "No result_processor takes the metrics of clients"),
    "MMAR647": Code(_W, "Two handlers are alike"),
    "MMAR650": Code(_E, "Two algorithms exclude each other"),
    "MMAR651": Code(_E, "An algorithm needs more clients"),
    "MMAR652": Code(_W, "Best local models leave unprotected"),
    "MMAR653": Code(_E, "A privacy budget does not last"),
    "MMAR654": Code(_E, "Combiners cannot add the updates up"),
    "MMAR660": Code(_W, "The signature is for other files"),
    "MMAR661": Code(_W, "A link to a folder is left out"),
    "MMAR662": Code(_E, "The trainer's network lacks tensors"),
    "MMAR663": Code(_E, "Tensors have other shapes"),
    "MMAR664": Code(_E, "Tensors have other element types"),
    "MMAR665": Code(_W, "Only the trainer's network has tensors"),
    "MMAR666": Code(_E, "A declared component cannot be built"),
    "MMAR667": Code(_N, "A network was not compared"),
    "MMAR668": Code(_E, "The dry run failed"),
    "MMAR669": Code(_N, "No round was tried"),
    "MMAR670": Code(_N, "The MMAR declares a command"),
    "MMAR671": Code(_E, "An entry point has no command"),
    "MMAR672": Code(_E, "A command cannot be read"),
    "MMAR673": Code(_W, "A Python environment is not made"),
    "MMAR701": Code(_E, "The policy does not allow a class path"),
    "MMAR702": Code(_E, "The policy allows no code in MMARs"),
    "MMAR703": Code(_E, "The policy does not know this code"),
    "MMAR704": Code(_E, "A filter of the site's own is not installed"),
    "MMAR705": Code(_E, "The policy allows no data list in MMARs"),
    "MMAR706": Code(_E, "An argument leads out of the MMAR"),
    "MMAR707": Code(_E, "The policy blocks this MMAR"),
    "MMAR708": Code(_E, "A filter of the site's own has wrong arguments"),
    "MMAR709": Code(_E, "The policy allows no expressions in MMARs"),
}

#: What depends on the machine: where the plugin is in force, there is no such finding.
NOT_INSTALLED: Final = frozenset({"MMAR501", "MMAR503"})
