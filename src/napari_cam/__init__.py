"""napari-cam: where did the network look, can that become a mask, should one believe it.

The public names are listed in ``__init__.pyi`` and loaded on first use, so that importing this
package is instant and loads neither torch nor napari.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
