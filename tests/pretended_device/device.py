"""A pretended device: whole trials run on it, under its rules.

    with Pretended("mps") as device:
        experiment.run(config, host, device.device)
    device.events          # what made the host wait, or copied, and where in tivae

Values are real (fake tensors have none, and torch's autograd aborts the process for devices that are not there), so
that steps, checkpoints, probes and measures run. What the device would refuse raises as it would there:

- tensors of two devices in one operation; CPU indices into device tensors are allowed and noted as copies
- `numpy()` of a device tensor
- a generator of another device; a generator's state of another type of device
- on MPS: any float64, and any operation without an MPS kernel in the installed torch's own table of operations

Noted as events: values asked for (`item`, `nonzero`, boolean masks), copies from and to the device, and operations
that are not deterministic on CUDA or known to be wrong on MPS. Not simulated: numerics (TF32), time, memory, autocast's
lists of CUDA (the CPU's stand in), CUDA graphs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo  # it takes stock of torch's functions, and must not find stand-ins
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from tests.pretended_device import tensor as tensors
from tests.pretended_device.kernels import has_kernel
from tests.pretended_device.tensor import PretendedGenerator, PretendedTensor, held, innermost

DEVICE_TYPES = ("cuda", "mps")
WIDE = (torch.float64, torch.complex128)
# Operations whose result the host must have before it can go on.
ASKING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"),
    *("unique_dim", "_unique2", "unique_consecutive"),
}
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
# https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
UNSTEADY = {"grid_sampler_2d_backward", "scatter_add", "scatter_add_", "convolution_backward"}


@dataclass(frozen=True)
class Event:
    """what: asked, to host, to device, unsteady or suspect; phase: step for a training step's; place: in tivae."""

    what: str
    operation: str
    phase: str
    place: str


class Pretended(TorchFunctionMode):
    """A block in which the device is there. lacking: further operations that it has not."""

    def __init__(self, device_type: str, lacking: frozenset[str] = frozenset()):
        super().__init__()
        self.device = torch.device(device_type, 0)
        self.lacking = lacking
        self.events: list[Event] = []
        self.operations: list[tuple[str, str]] = []
        self.phase = ""
        self._is_forward_mode = False
        self._patches = contextlib.ExitStack()

    def __enter__(self) -> Pretended:
        assert not tensors._present
        tensors._present.append(self)
        for holder, name, value in self._stand_ins():
            self._patches.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)
        # Parameters become new ones as a module moves, since a pretended tensor can't take the place of a true one.
        self._patches.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._patches.close()
        tensors._present.clear()

    def note(self, what: str, operation: str) -> None:
        self.events.append(Event(what, operation, self.phase, _place()))

    def found(self, *what: str, phase: str = "step") -> set[tuple[str, str]]:
        """Operation and place of the events of these types in a phase."""
        return {(event.operation, event.place) for event in self.events if event.what in what and event.phase == phase}

    @contextlib.contextmanager
    def within(self, phase: str) -> Iterator[None]:
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = dict(options or {})
        name = getattr(function, "__name__", "")
        owner = arguments[0] if arguments else None
        if function == _DEVICE and isinstance(innermost(owner), PretendedTensor):
            return self.device
        if name == "to" and isinstance(owner, torch.Tensor):
            return tensors.to(*arguments, **options)
        if name in DEVICE_TYPES and isinstance(owner, torch.Tensor):
            return tensors.move(owner, self.device)
        if name == "pin_memory":
            return owner
        # Made of several operations by torch itself, on what it takes for the CPU; no gradient flows through it.
        if name == "one_hot" and isinstance(owner, PretendedTensor):
            self._check(torch.ops.aten.scatter_.value, [owner])
            return PretendedTensor(function(owner.held, *arguments[1:], **options))
        device = torch.device(options["device"]) if options.get("device") is not None else None
        self._check_generator(options.get("generator"), owner, device)
        if device is None or device.type not in DEVICE_TYPES or name == "_parse_to":
            return function(*arguments, **options)
        return self._made(name, function, arguments, options, device)

    def _check_generator(self, source: Any, owner: Any, device: torch.device | None) -> None:
        if source is None:
            return
        where = owner.device if isinstance(owner, torch.Tensor) else device or torch.device("cpu")
        if source.device.type != where.type:
            raise RuntimeError(f"Expected a '{where.type}' device type for generator but found '{source.device.type}'")

    def _made(self, name: str, function: Any, arguments: Any, options: dict[str, Any], device: torch.device) -> Any:
        """What a function with the argument `device` makes there."""
        if device.type != self.device.type:
            raise RuntimeError(f"there is no {device}")
        wants_gradient = options.pop("requires_grad", False)
        with torch._C._DisableFuncTorch():
            made = function(*arguments, **options | {"device": "cpu"})
            if not isinstance(made, PretendedTensor):
                self.check_dtypes([made.dtype])
                if name in ("tensor", "as_tensor", "from_numpy"):
                    self.note("to device", name)
                made = PretendedTensor(made)
        return made.requires_grad_() if wants_gradient else made

    def run(self, operation: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """One operation on the real values, if the device would take it."""
        name = operation.overloadpacket.__name__
        leaves, _ = pytree.tree_flatten((arguments, options))
        given = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        if any(tensor.is_meta for tensor in given):
            # Forward-mode differentiation asks for the shapes of what is zero.
            shapes = pytree.tree_map(
                lambda x: held(x).to("meta") if isinstance(x, torch.Tensor) else x, (arguments, options)
            )
            return operation(*shapes[0], **shapes[1])
        self._check_devices(name, operation, arguments, given)
        ours = [tensor for tensor in given if isinstance(tensor, PretendedTensor)]
        self._check(operation, ours)
        self.check_dtypes([options.get("dtype")])
        self._note_of(name, arguments, ours)
        if options.get("device") is not None:
            options = options | {"device": torch.device("cpu")}
        self.operations.append((self.phase, name))
        known = {id(tensor.held): tensor for tensor in ours}
        real = pytree.tree_map(held, (arguments, options))
        results = operation(*real[0], **real[1])
        if name == "_local_scalar_dense":
            return results
        if name == "copy_" and not isinstance(arguments[0], PretendedTensor):
            return arguments[0]

        def wrapped(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            return known[id(value)] if id(value) in known else PretendedTensor(value)

        results = pytree.tree_map(wrapped, results)
        self.check_dtypes([leaf.dtype for leaf in pytree.tree_leaves(results) if isinstance(leaf, torch.Tensor)])
        return results

    def _check_devices(self, name: str, operation: Any, arguments: Any, given: list[torch.Tensor]) -> None:
        strange = [tensor for tensor in given if not isinstance(tensor, PretendedTensor) and tensor.dim() > 0]
        if self._is_forward_mode:
            # It makes the zeros of what has no tangent where C++ takes the tensors to be, which is the host.
            strange = [tensor for tensor in strange if not tensor._is_zerotensor() and torch.count_nonzero(tensor)]
        if not strange:
            return
        if name == "copy_":
            self.note("to host" if isinstance(arguments[1], PretendedTensor) else "to device", name)
            return
        indices = arguments[1] if name in INDEXING else ()
        if all(any(tensor is index for index in indices) for tensor in strange):
            self.note("to device", f"{name} by an index of the host")
            return
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {self.device} and cpu! "
            f"(when checking {operation}; on the host {[tuple(tensor.shape) for tensor in strange]})"
        )

    def _check(self, operation: Any, ours: list[torch.Tensor]) -> None:
        name = operation.overloadpacket.__name__
        schema = operation._schema
        if name in self.lacking or not has_kernel(schema.name, schema.overload_name, self.device.type):
            raise NotImplementedError(
                f"The operator 'aten::{name}' is not currently implemented for the {self.device.type.upper()} device."
            )
        self.check_dtypes([tensor.dtype for tensor in ours])

    def check_dtypes(self, dtypes: list[Any]) -> None:
        """Raises what MPS raises for a type of numbers that it has not."""
        if self.device.type == "mps" and any(dtype in WIDE for dtype in dtypes):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
                "Please use float32 instead."
            )

    def _note_of(self, name: str, arguments: Any, ours: list[torch.Tensor]) -> None:
        masks = name in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if name in ASKING or masks:
            self.note("asked", name)
        # Of the sampler only the gradient of its images is added up in any order, whatever is asked for.
        sums = arguments[-1][0] if name == "grid_sampler_2d_backward" else not torch.backends.cudnn.deterministic
        if self.device.type == "cuda" and name in UNSTEADY and sums:
            self.note("unsteady", name)
        # pytorch issue 175189: crashes, or gives wrong gradients, up to a fix of July 2026.
        of_norm = self.device.type == "mps" and name == "native_batch_norm_backward"
        if of_norm and any(_is_channels_last(tensor) for tensor in ours):
            self.note("suspect", "native_batch_norm_backward of channels_last")

    def _stand_ins(self) -> list[tuple[Any, str, Any]]:
        autocast, jvp, enabled = torch.autocast, torch.func.jvp, torch.is_autocast_enabled

        def forward_mode(*arguments: Any, **options: Any) -> Any:
            before, self._is_forward_mode = self._is_forward_mode, True
            try:
                return jvp(*arguments, **options)
            finally:
                self._is_forward_mode = before

        def host(device_type: str) -> str:
            return "cpu" if device_type in DEVICE_TYPES else device_type

        return [
            (torch.func, "jvp", forward_mode),
            (torch, "Generator", PretendedGenerator),
            (torch, "autocast", lambda device_type, **options: autocast(host(device_type), **options)),
            (torch, "is_autocast_enabled", lambda device_type: enabled(host(device_type))),
            (torch.cuda, "get_device_name", lambda device=None: "pretended"),
            (torch.mps, "empty_cache", lambda: None),
        ]


# What `tensor.device` calls.
_DEVICE = torch.Tensor.device.__get__


def _is_channels_last(tensor: torch.Tensor) -> bool:
    real = held(tensor)
    return real.dim() == 4 and real.is_contiguous(memory_format=torch.channels_last) and not real.is_contiguous()


def _place() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/tivae/" in path:
            return f"tivae/{path.rpartition('/tivae/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
