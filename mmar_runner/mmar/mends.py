# SPDX-License-Identifier: Apache-2.0
"""What to do about a finding where whoever found it says nothing better.

The same sentences as in docs/reference/findings.md; a test compares them.
"""

from __future__ import annotations

from types import MappingProxyType

MENDS = MappingProxyType(
    {
        "MMAR101": "Name the folder that holds `config/`.",
        "MMAR102": "Move or add the file; `--side client` asks for the client's file only.",
        "MMAR103": "Put the file itself there.",
        "MMAR104": "Remove it.",
        "MMAR105": "Keep data outside the MMAR, or in `models/`, where files may be of any size.",
        "MMAR106": "Keep results and version control outside the MMAR.",
        "MMAR107": "Rename the file or the folder.",
        "MMAR108": "Mend its permissions.",
        "MMAR109": "Rename it.",
        "MMAR110": "Write JSON at this place.",
        "MMAR111": "Remove one of them.",
        "MMAR112": "Write a finite number.",
        "MMAR113": "Save it as UTF-8 without byte-order mark.",
        "MMAR114": "Save it as UTF-8.",
        "MMAR115": "Flatten the file.",
        "MMAR116": "Keep it outside the MMAR and refer to it by a variable.",
        "MMAR117": "Sign the MMAR again with `mmar-runner sign-mmar`, or remove the file.",
        "MMAR118": "Write plain YAML: mappings, lists, text, numbers, true, false and null.",
        "MMAR201": "Write an MMAR: `mmar-runner init mmar`.",
        "MMAR202": "Write 1.",
        "MMAR203": "Write both in the form of generation 4.",
        "MMAR210": "Nothing needs to be done; `mmar-runner upgrade-mmar` writes it as it is today.",
        "MMAR211": "Nothing needs to be done; the key can be removed.",
        "MMAR212": "Nothing needs to be done; it can be removed.",
        "MMAR213": "Nothing needs to be done; `mmar-runner upgrade-mmar` writes it so.",
        "MMAR220": (
            "Declare the workflow with PyTorch and MONAI; the federated files, the environment and "
            "the data list go on as they are."
        ),
        "MMAR221": "The hint says what to use in its place.",
        "MMAR222": "Remove it; what it did must be done by a component that is called.",
        "MMAR301": "Define it in `config/environment.json`, or give `--set NAME=VALUE`.",
        "MMAR302": "Give one of them a value.",
        "MMAR303": "Compare its name with the variables in `config/`, or leave it out.",
        "MMAR304": "Write a value; the trainer knows its own parts.",
        "MMAR305": "Give it to the command of the side that uses it; `simulate` is both.",
        "MMAR306": "Remove it, or use it.",
        "MMAR307": "Give the whole path.",
        "MMAR401": (
            "Add or correct the key; `mmar-runner schema config_fed_server` prints what is "
            "required."
        ),
        "MMAR402": "Write a value of that type; numbers and true/false have no quotes.",
        "MMAR403": "The message names the limit.",
        "MMAR404": (
            "Correct or remove it. Keys that begin with `_`, `#`, `//` or `comment` are comments."
        ),
        "MMAR405": "Write it without a repetition within a repetition.",
        "MMAR406": "Remove one of them.",
        "MMAR501": (
            "Correct the name, or install the plugin; `mmar-runner plugins list` shows what "
            "is there, `mmar-runner plugins doctor` what is broken."
        ),
        "MMAR502": "Move it to the key of its kind.",
        "MMAR503": "Use a registered name, or install a plugin that allows the path.",
        "MMAR504": "Name the component; `{}` means none.",
        "MMAR505": "Remove one of them.",
        "MMAR506": 'Remove it; `"disabled": true` switches a component off.',
        "MMAR507": "Correct or remove it.",
        "MMAR508": "Correct the path or add the file.",
        "MMAR509": "Correct the name. The file is read as text and never imported.",
        "MMAR510": "Rename it.",
        "MMAR511": "Add it; `mmar-runner plugins show NAME` lists the arguments.",
        "MMAR512": "Remove it; `mmar-runner plugins show NAME` lists the arguments.",
        "MMAR513": "Write a value of that type.",
        "MMAR514": "The message names the limit.",
        "MMAR515": "Nothing needs to be done.",
        "MMAR516": "Declare one.",
        "MMAR517": "Correct the reference, or label the component.",
        "MMAR518": (
            "Uninstall one, or name those to load in `MMAR_RUNNER_PLUGINS`; give what is in a "
            "file of `--plugins-dir` another name."
        ),
        "MMAR519": "Mend the syntax at this place.",
        "MMAR520": "Install the package, or remove the import.",
        "MMAR521": "Derive the class from the interface and define the methods that it lacks.",
        "MMAR522": "Install it at every site that trains; the hint has the name.",
        "MMAR523": "Give each a label of its own, as in Name#Label, and refer to that.",
        "MMAR524": "Use another component; the hint has its name.",
        "MMAR530": "Nothing needs to be done; the page on older code says what differs.",
        "MMAR531": "Install the plugin with the adapter.",
        "MMAR532": "Use a component that is installed, or write the class to the later interface.",
        "MMAR533": "Import one of the names that are provided, or write the code without it.",
        "MMAR601": "Write the server's name in the client file.",
        "MMAR602": "Lower the minimum or raise the maximum.",
        "MMAR603": "Raise `num_rounds`; a negative one never stops.",
        "MMAR604": "Draw at least the minimum and at most the maximum.",
        "MMAR605": "The hint has the order.",
        "MMAR606": "Correct the name.",
        "MMAR607": "Declare a result_processor for the topic.",
        "MMAR608": "Declare one of them.",
        "MMAR609": "Add the file.",
        "MMAR610": "Name a file in the MMAR, or an absolute path by a variable of the site.",
        "MMAR611": "Lengthen the deadline or shorten the wait.",
        "MMAR612": "Nothing needs to be done; certificates come from the start-up kit.",
        "MMAR613": "Remove it or write a level name.",
        "MMAR614": "Sites must accept it: `--allow-byoc` on loopback, `policy accept` with a kit.",
        "MMAR615": "Refer to the site's list by a variable.",
        "MMAR616": "Set both or neither.",
        "MMAR617": "Declare one, if the server is to validate too.",
        "MMAR618": "Keep one.",
        "MMAR619": "Remove the others.",
        "MMAR620": "Choose another of the two.",
        "MMAR621": "Add the file or correct the path.",
        "MMAR622": "Move code to `custom/`; remove what does not belong to the job.",
        "MMAR623": "Declare the same model on both sides.",
        "MMAR625": (
            "Install the component as a plugin on the server, or put it into a folder given "
            "with `--plugins-dir`."
        ),
        "MMAR626": "Move the handler to `config_fed_server.json`, or remove it.",
        "MMAR627": "Lower it, or remove it.",
        "MMAR628": "Name one of the metrics that are measured, or add it to the metrics.",
        "MMAR629": "Keep one of them.",
        "MMAR630": "The hint has the number.",
        "MMAR631": "Name a file that the server or the model_persistor can read.",
        "MMAR632": "Give one of them another log_label, or remove it.",
        "MMAR633": (
            "Sites must allow them: `--allow-byoc` on loopback, `expressions` of the policy with "
            "a kit."
        ),
        "MMAR634": "Write that smaller is better.",
        "MMAR635": "Declare what it works on, or remove it.",
        "MMAR640": "Name a checkpoint of this network, or declare the network it was made of.",
        "MMAR641": "Name the tensors that are to stay as they are, or remove it.",
        "MMAR642": "Declare data that is held out.",
        "MMAR643": "Keep it with one of them.",
        "MMAR644": "Nothing needs to be done; the file can be removed.",
        "MMAR645": (
            "Remove it from the MMAR, and replace the key if anybody was given it: keys belong "
            "into start-up kits."
        ),
        "MMAR646": (
            "Nothing needs to be done; a result_processor such as MetricsProcessor writes a table."
        ),
        "MMAR647": "Remove one of them, unless every event is to be handled twice.",
        "MMAR650": "Remove one of them; the message says why they do not go together.",
        "MMAR651": "Raise `min_num_clients`, or lower what the algorithm is to withstand.",
        "MMAR652": "Declare filters in `cross_site_validation` too, or turn `cross_validate` off.",
        "MMAR653": "Declare fewer rounds, more noise, or a larger epsilon.",
        "MMAR654": "Take a rule that composes, such as FedAvg, or let sites come to the server.",
        "MMAR660": "Sign the MMAR again with `mmar-runner sign-mmar`, or undo the changes.",
        "MMAR661": "Put the folder itself there, or remove the link.",
        "MMAR662": "Declare the same network on both sides.",
        "MMAR663": "Declare the same network on both sides.",
        "MMAR664": "Declare the same network on both sides, with the same type of numbers.",
        "MMAR665": "Declare the same network on both sides, or exclude what stays at a site.",
        "MMAR666": "Correct the component's arguments, or its class.",
        "MMAR667": "Nothing needs to be done; the hint says what would be needed.",
        "MMAR668": "The message says what failed; `mmar-runner simulate` shows more of it.",
        "MMAR669": "Nothing needs to be done; try it on real data with `mmar-runner simulate`.",
        "MMAR670": "Sites must accept it: `--allow-byoc` on loopback, `policy accept` with a kit.",
        "MMAR671": "Declare its command.",
        "MMAR672": "Write a program and its arguments, as a list of texts.",
        "MMAR673": "Install what it lists at every site, and remove the key.",
        "MMAR701": "Use a registered name, or ask the site to add the prefix.",
        "MMAR702": "Have it installed as a plugin; or the site accepts it by `policy accept`.",
        "MMAR703": "Have it reviewed; the site accepts it by `policy accept`.",
        "MMAR704": "Install its plugin, or correct its name in the policy.",
        "MMAR705": "Refer to the site's list by a variable.",
        "MMAR706": "Name a file of the MMAR; or the site lists the folder, or sets the variable.",
        "MMAR707": "The site takes that back by `policy accept`.",
        "MMAR708": (
            "Correct the argument in the policy; `mmar-runner plugins show` lists those that "
            "it takes."
        ),
        "MMAR709": "Write it without; or the site says so by `expressions` in its policy.",
    }
)
