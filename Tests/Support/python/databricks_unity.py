"""The registry of Unity Catalog."""

import databricks_errors as errors


class Unity:
    def __init__(self, emulator):
        self.store = emulator.store

    def serves(self, route):
        return route.startswith("unity-catalog/")

    def answer(self, request, route):
        raise errors.no_such_endpoint(request)
