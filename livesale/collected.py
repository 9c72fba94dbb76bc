"""Files that `collectstatic` collected, served from where they lie, also those that came after this process started.

During an upgrade processes of two versions serve side by side: a page of the new one asks whichever process the proxy
takes for its scripts. The older one looks for what it does not know where both have their files.
"""

from __future__ import annotations

import os
from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware


class Collected(WhiteNoiseMiddleware):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # where `find_file` looks; what is there already when we start has been listed, and costs no look
        self.directories = [(os.path.abspath(self.static_root) + os.sep, self.static_prefix)]

    def __call__(self, request: Any) -> Any:
        path = request.path_info
        is_unknown = path.startswith(self.static_prefix) and path not in self.files
        # not kept: a file that is still being copied would be remembered at the length that it has now
        if is_unknown and not self.use_finders and (found := self.find_file(path)) is not None:
            return self.serve(found, request)
        return super().__call__(request)
