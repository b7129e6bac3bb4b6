"""Which TorchScript programs are networks: arithmetic on tensors, and nothing else.

TorchScript is a small language with Python's syntax, and a program in it may call every operator
that PyTorch has registered, those that write and map files (``aten::save``, ``aten::from_file``)
and those of other libraries too. A program is therefore taken only if all that it names is known
to be harmless:

- ``torch.NAME`` and ``ops.prim.NAME`` must stand in a list of numerical functions below; no other
  namespace of operators is let in.
- ``value.NAME`` calls an operator of that name where a value has no such member, so it must not be
  the name of any registered operator outside the list.
- Classes are plain modules without methods that run on loading (``__setstate__``), and their base
  classes, decorators and statements are of the few kinds that PyTorch itself writes.
- Loops are counted, ``for NAME in range(NUMBER)``, and a number that is written down is small;
  ``while`` is not let in. This keeps out loops without an end, not every program that takes long.
- Bare names are those of types, of the language's harmless functions, and of variables.

What was checked is written anew from its syntax tree, so PyTorch reads exactly the program that
was checked, however its own reader may differ from Python's.
"""

from __future__ import annotations

import ast

import torch

from napari_deepz.generators.errors import ModelError, quoted

_FUNCTION_NAMES = """
_convolution _convolution_mode convolution conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d conv_tbc linear bilinear embedding cosine_similarity addmm bmm matmul mm baddbmm
einsum dot outer batch_norm instance_norm layer_norm group_norm native_batch_norm
native_layer_norm native_group_norm rms_norm norm local_response_norm dropout feature_dropout
alpha_dropout feature_alpha_dropout scaled_dot_product_attention relu relu6 leaky_relu rrelu prelu
elu selu celu gelu silu mish hardtanh hardswish hardsigmoid threshold hardshrink softshrink
sigmoid log_sigmoid tanh softplus softsign softmax log_softmax _softmax glu avg_pool1d avg_pool2d
avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
adaptive_max_pool3d max_unpool2d fold unfold im2col col2im pixel_shuffle pixel_unshuffle
channel_shuffle upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
_upsample_nearest_exact2d _upsample_nearest_exact3d _upsample_lanczos2d_aa upsample_bilinear2d
upsample_trilinear3d upsample_bicubic2d upsample_linear1d _upsample_bilinear2d_aa
_upsample_bicubic2d_aa __interpolate __upsample interpolate grid_sampler grid_sampler_2d
affine_grid_generator pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
replication_pad1d replication_pad2d replication_pad3d _pad_circular add sub rsub subtract mul
multiply div divide true_divide floor_divide floordiv remainder fmod pow sqrt rsqrt square exp
exp2 expm1 log log2 log10 log1p abs neg negative sign sgn reciprocal sin cos tan asin acos atan
atan2 sinh cosh erf erfc ceil floor round trunc frac clamp clamp_min clamp_max clip lerp addcmul
addcdiv maximum minimum fmax fmin hypot logaddexp nan_to_num sum mean var std var_mean std_mean
prod max min amax amin aminmax argmax argmin any all cumsum cumprod logsumexp median quantile sort
topk argsort searchsorted bucketize histc eq ne lt le gt ge isnan isinf isfinite isclose where
masked_fill logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not
__and__ __or__ __xor__ __not__ __is__ __isnot__ __contains__ __getitem__ __range_length
__derive_index cat concat stack split split_with_sizes chunk unbind narrow slice select index
index_select index_put gather scatter scatter_add take take_along_dim flip roll rot90 tile repeat
repeat_interleave expand expand_as broadcast_shapes broadcast_to broadcast_tensors view view_as
reshape reshape_as flatten unflatten squeeze unsqueeze permute transpose swapaxes movedim moveaxis
t contiguous clone detach alias meshgrid tril triu diagonal diag_embed real imag zeros ones full
empty arange linspace eye zeros_like ones_like full_like empty_like new_zeros new_ones new_full
new_empty scalar_tensor tensor as_tensor fill zero _set_item fft_fft2 fft_ifft2 fft_rfft2
fft_irfft2 fft_fftn fft_ifftn fft_fftshift fft_ifftshift to type_as float double half int long
bool cpu Int Float Bool Size FloatImplicit IntImplicit ScalarImplicit item size sizes dim len
numel stride is_floating_point is_complex storage_offset list dict keys values items append extend
insert pop copy get format warn ceildiv sym_size sym_numel
"""
_PRIMITIVE_NAMES = """
NumToTensor RaiseException Uninitialized data device dtype layout is_cuda is_cpu max min abs
unchecked_unwrap_optional unchecked_cast TupleUnpack TupleIndex rangelist requires_grad shape
"""
_LANGUAGE_NAMES = """
annotate unchecked_cast uninitialized isinstance int float bool str len range abs min max round list
tuple inf nan self Tensor List Dict Tuple Optional Union NoneType Final number Device Module
__parameters__ __buffers__ __annotations__ __constants__ __forward_hooks__ __forward_pre_hooks__
"""
# Functions have a twin that works in place, with an underscore at the end.
FUNCTIONS = frozenset(name + end for name in _FUNCTION_NAMES.split() for end in ("", "_"))
PRIMITIVES = frozenset(_PRIMITIVE_NAMES.split())
_LANGUAGE = frozenset(_LANGUAGE_NAMES.split())
_ROOTS = frozenset({"torch", "ops", "CONSTANTS", "__torch__"})
# Of containers of modules; PyTorch calls them for `len` and `in` alone.
_METHODS = frozenset({"__len__", "__contains__"})
_MOST_TURNS = 10_000
_SYNTAX = (
    *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.keyword),
    *(ast.Assign, ast.AnnAssign, ast.Expr, ast.Return, ast.If, ast.For, ast.Pass),
    *(ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Dict),
    *(ast.Subscript, ast.Slice, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)


def checked_code(source: bytes, where: str) -> bytes:
    """Check one code file of a TorchScript archive and write it anew.

    Parameters
    ----------
    source : bytes
        The file.
    where : str
        What the sentence calls the model.

    Returns
    -------
    bytes
        The same program.

    Raises
    ------
    ModelError
        If it holds anything that a network does not need.
    """
    try:
        tree = ast.parse(source.decode("ascii"))
        _Check(tree).visit(tree)
        return (ast.unparse(tree) + "\n").encode()
    except _NotNumerical as error:
        raise ModelError(
            f"The TorchScript network {where} is refused because its program uses {quoted(error)}, "
            "which napari-deepz does not know to be harmless; nothing of it was run."
        ) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"The TorchScript network {where} cannot be read; the file is damaged or not one that "
            "PyTorch wrote."
        ) from error


class _NotNumerical(Exception):
    """Names what is not allowed."""


class _Check(ast.NodeVisitor):
    """Visits every part of a program."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        self.own_names = {
            *(n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)),
            *(node.arg for node in nodes if isinstance(node, ast.arg)),
            *(node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)),
        }
        if shadowed := self.own_names & (_ROOTS | {"getattr"}):
            raise _NotNumerical(f"the name '{min(shadowed)}' for something else")

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, _SYNTAX):
            raise _NotNumerical(f"syntax of the kind {type(node).__name__}")
        super().visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        if bases != ["Module"] or len(node.bases) != 1 or node.keywords or node.decorator_list:
            raise _NotNumerical(f"the class '{node.name}', which is no plain module,")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list or (node.name.startswith("__") and node.name not in _METHODS):
            raise _NotNumerical(f"the special function '{node.name}'")
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=ends, keywords=[]):
                long = any(isinstance(e, ast.Constant) and not _is_short(e.value) for e in ends)
            case _:
                long = True
        if long:
            raise _NotNumerical(f"a loop of more than {_MOST_TURNS} turns")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str | int | float | None):
            raise _NotNumerical(f"a constant of type {type(node.value).__name__}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id not in _LANGUAGE and node.id not in self.own_names:
            raise _NotNumerical(f"'{node.id}'")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            match node.args:
                case [value, ast.Constant(value=str(member))] if not node.keywords:
                    _check_member(member)
                    self.visit(value)
                case _:
                    raise _NotNumerical("'getattr' with a computed name")
            return
        if not isinstance(node.func, ast.Name | ast.Attribute):
            raise _NotNumerical("a computed function")
        if any(keyword.arg is None for keyword in node.keywords):
            raise _NotNumerical("a computed list of arguments")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        match _dotted(node):
            case ["torch", name]:
                allowed = name in FUNCTIONS
            case ["ops", "prim", name]:
                allowed = name in PRIMITIVES
            case ["__torch__", *path]:
                allowed = path[:2] != ["torch", "classes"]
            case ["CONSTANTS", _]:
                allowed = isinstance(node.ctx, ast.Load)
            case [root, *_] if root in _ROOTS:
                allowed = False
            case _:
                _check_member(node.attr)
                self.visit(node.value)
                return
        if not allowed:
            raise _NotNumerical(f"'{ast.unparse(node)}'")


def _is_short(turns: object) -> bool:
    return isinstance(turns, int) and turns <= _MOST_TURNS


def _check_member(name: str) -> None:
    """Refuse what PyTorch would take for an operator that is not in the list."""
    if name in FUNCTIONS:
        return
    if name.startswith("__") or hasattr(torch.ops.aten, name):
        raise _NotNumerical(f"'{name}'")


def _dotted(node: ast.expr) -> list[str] | None:
    """Parts of a dotted name; None for members of anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (parts := _dotted(node.value)) is not None:
        return [*parts, node.attr]
    return None
