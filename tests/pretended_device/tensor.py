"""Tensors and generators of a device that is not there."""

from __future__ import annotations

from typing import Any

import torch

# Of the block that pretends a device; None outside.
_present: list[Any] = []


def present() -> Any:
    """The `Pretended` device of the block around."""
    assert _present, "a tensor of the pretended device has outlived it"
    return _present[0]


class PretendedTensor(torch.Tensor):
    """A tensor of the pretended device; `held` holds its values on the host."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, real: torch.Tensor) -> PretendedTensor:
        assert type(real) is not PretendedTensor
        made = torch.Tensor._make_wrapper_subclass(
            cls, real.shape, strides=real.stride(), storage_offset=real.storage_offset(), dtype=real.dtype, device="cpu"
        )
        made.held = real.detach()
        return made

    @property
    def device(self) -> torch.device:
        return present().device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def is_mps(self) -> bool:
        return self.device.type == "mps"

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self.cpu().numpy()

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        present().note("asked", "tolist")
        return self.held.tolist()

    def cpu(self, memory_format: Any = torch.preserve_format) -> torch.Tensor:
        return move(self, "cpu")

    def to(self, *arguments: Any, **options: Any) -> torch.Tensor:
        return to(self, *arguments, **options)

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied._is_param = True
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        present().note("to host", "save")
        return self.held.clone().__reduce_ex__(protocol)

    def __repr__(self, **options: Any) -> str:
        return f"PretendedTensor({self.held!r}, device={self.device})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        return present().run(operation, arguments, options or {})


class PretendedGenerator(torch.Generator):
    """A generator that says it is of a device; its state has another size on each, as torch's own have."""

    where: torch.device

    def __new__(cls, device: Any = "cpu") -> PretendedGenerator:
        made = super().__new__(cls, "cpu")
        made.where = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.where

    def get_state(self) -> torch.Tensor:
        return torch.cat([super().get_state(), torch.zeros(self._excess, dtype=torch.uint8)])

    def set_state(self, state: torch.Tensor) -> Any:
        if type(state) is not torch.Tensor:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if len(state) != len(self.get_state()):
            raise RuntimeError("RNG state is wrong size")
        return super().set_state(state[: len(state) - self._excess].clone())

    @property
    def _excess(self) -> int:
        return {"cpu": 0, "cuda": 16, "mps": 44}[self.where.type]


def held(value: Any) -> Any:
    """The values of a pretended tensor; anything else itself."""
    return value.held if isinstance(value, PretendedTensor) else value


def innermost(tensor: Any) -> Any:
    """The tensor within those that torch.func wraps around it."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def move(tensor: torch.Tensor, place: Any) -> torch.Tensor:
    """`tensor` at `place`, the host or the pretended device."""
    place = torch.device(place)
    if place.type == tensor.device.type:
        return tensor
    if place.type not in ("cpu", present().device.type):
        raise RuntimeError(f"there is no {place}")
    return _Move.apply(tensor, place)


def to(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
    """What `tensor.to(...)` is."""
    other = next((x for x in arguments if isinstance(x, torch.Tensor)), None)
    if other is not None:
        arguments = (other.device, other.dtype)
    device, dtype, _, layout = torch._C._nn._parse_to(*arguments, **{k: v for k, v in options.items() if k != "copy"})
    # The host's type first: what the device can't hold must not come to it.
    if device is not None and device.type != "cpu" and dtype is not None and not isinstance(tensor, PretendedTensor):
        tensor = torch.Tensor.type(tensor, dtype) if tensor.dtype != dtype else tensor
    if device is not None:
        tensor = move(tensor, device)
    rest = {"memory_format": layout} if layout is not None else {}
    with torch._C.DisableTorchFunction():
        if dtype is not None and dtype != tensor.dtype:
            return torch.Tensor.to(tensor, dtype, **rest)
        if rest and tensor.dim() == 4:
            return torch.Tensor.contiguous(tensor, **rest)
        return torch.Tensor.clone(tensor) if options.get("copy") else tensor


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, place: torch.device) -> torch.Tensor:
        ctx.before = tensor.device
        if isinstance(tensor, PretendedTensor):
            present().note("to host", "to")
            return tensor.held.clone()
        present().check_dtypes([tensor.dtype])
        present().note("to device", "to")
        return PretendedTensor(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _Move.apply(gradient, ctx.before), None
