# SPDX-License-Identifier: Apache-2.0
"""What the filters of each direction are told, and the secret that noise is drawn from."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from mmar_runner.federation.seeds import derive_seed
from mmar_runner.interfaces.filter import FilterContext

if TYPE_CHECKING:
    from mmar_runner.client.files.workspace import RunFiles
    from mmar_runner.client.settings import SessionSettings
    from mmar_runner.interfaces.aggregator import UpdateKind
    from mmar_runner.wire.messages import RegisterReply


class FilterContexts:
    """Makes the contexts of one run.

    Args:
        settings: What the session was started with.
        files: The run's files.
        registration: The run's id, seed and number of rounds.
    """

    def __init__(
        self, settings: SessionSettings, files: RunFiles, registration: RegisterReply
    ) -> None:
        self._settings = settings
        self._files = files
        self._registration = registration

    def of(
        self, chain: str, round_number: int, kind: UpdateKind, num_samples: float = 0.0
    ) -> FilterContext:
        """Return what the filters of one direction are told of a file.

        Args:
            chain: The direction and whose filters they are, such as ``site_outbound_filters``.
                Those of an MMAR never see the secret of the site's own.
            round_number: The round.
            kind: What the file holds.
            num_samples: How many samples it was made of; 0 on the way in.

        Raises:
            StorageError: The site's key cannot be read or made.
        """
        files, told = self._files, self._registration
        own = chain.startswith("site_")
        return FilterContext(
            client_name=self._settings.name,
            round=round_number,
            kind=kind,
            seed=derive_seed(told.seed, self._settings.name, round_number),
            num_rounds=told.num_rounds,
            num_samples=num_samples,
            secret=self._secret(chain, round_number),
            state=files.filter_state.current / chain,
            new_state=files.filter_state.pending / chain,
            ledger=(files.site_ledger if own else files.ledger) / chain,
        )

    def _secret(self, chain: str, round_number: int) -> bytes:
        given = self._settings.filter_key
        # What a simulation gives is meant to be had again, in a run of any number and id.
        run = "" if given else self._registration.run_id or str(self._files.number)
        key = given or self._files.filter_key()
        return hmac.digest(key, f"{run}\n{round_number}\n{chain}".encode(), "sha256")
