# SPDX-License-Identifier: Apache-2.0


class Cases:
    def __init__(self, partition, site_index, num_sites):
        self.cases = (partition, site_index, num_sites)

    def __len__(self):
        return len(self.cases)
