"""The operators that a network from an untrusted file may call: one allow-list for TorchScript and `torch.export`.

They compute on tensors, numbers, text and containers, and check their arguments. Left out are those that reach files,
processes, devices or other machines (`save`, `from_file`, `rpc_async`, `wait`, `cuda`), those that take their
arguments' word for what memory holds (`set_`, `resize_`, `empty_strided`, `_sparse_coo_tensor_unsafe`), and those that
change torch itself (`manual_seed`, `set_grad_enabled`).
"""

from __future__ import annotations

_ATEN = """
abs absolute acos acosh adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
adaptive_max_pool2d adaptive_max_pool3d add addbmm addcdiv addcmul addmm addmv addr affine_grid_generator alias
alias_copy all allclose alpha_dropout amax amin aminmax any arange arctan arctan2 argmax argmin argsort argwhere
as_strided as_strided_copy as_tensor asin asinh atan atan2 atanh atleast_1d atleast_2d atleast_3d avg_pool1d
avg_pool2d avg_pool3d baddbmm batch_norm bernoulli bilinear bincount bitwise_and bitwise_left_shift bitwise_not
bitwise_or bitwise_right_shift bitwise_xor block_diag bmm broadcast_tensors broadcast_to bucketize cat cdist ceil celu
channel_shuffle chunk clamp clamp_max clamp_min clip clone col2im column_stack complex concat concatenate conj
constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution copy
copysign cos cosh cosine_similarity count_nonzero cross cummax cummin cumprod cumsum deg2rad detach diag diag_embed
diagflat diagonal diff div divide dot dropout dstack einsum elu embedding empty empty_like eq equal erf erfc erfinv
exp exp2 expand expand_as expand_copy expm1 eye feature_alpha_dropout feature_dropout fill flatten flip fliplr flipud
float_power floor floor_divide fmax fmin fmod frac frobenius_norm full full_like gather ge gelu glu grid_sampler
grid_sampler_2d greater greater_equal group_norm gru gt hann_window hamming_window hardshrink hardsigmoid hardswish
hardtanh heaviside histc hstack hypot im2col imag index index_add index_copy index_fill index_put index_select inner
instance_norm is_complex is_contiguous is_floating_point is_nonzero isclose isfinite isin isinf isnan kron kthvalue
layer_norm le leaky_relu lerp less less_equal lift_fresh lift_fresh_copy linalg_norm linalg_vector_norm
linalg_matrix_norm linear linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logical_and logical_not
logical_or logical_xor logit logsumexp lstm lt masked_fill masked_scatter masked_select matmul max max_pool1d
max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d maximum mean median meshgrid min
minimum mish mm mode moveaxis movedim mul multiply mv nan_to_num nanmean nansum narrow narrow_copy native_batch_norm
native_dropout native_group_norm native_layer_norm ne neg negative new_empty new_full new_ones new_zeros nonzero norm
normal not_equal one_hot ones ones_like outer pad pairwise_distance permute permute_copy pixel_shuffle pixel_unshuffle
polar positive pow prelu prod quantile rad2deg rand rand_like randint randn randn_like ravel real reciprocal
reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder renorm repeat repeat_interleave
replication_pad1d replication_pad2d replication_pad3d reshape reshape_as resolve_conj resolve_neg rms_norm rnn_relu
rnn_tanh roll rot90 round rrelu rsqrt rsub scalar_tensor scaled_dot_product_attention scatter scatter_add
scatter_reduce select select_copy select_scatter selu sgn sigmoid sign signbit silu sin sinc sinh slice slice_copy
slice_scatter softmax softplus softshrink sort split split_copy split_with_sizes split_with_sizes_copy sqrt square
squeeze squeeze_copy stack std std_mean stft sub subtract sum sum_to_size swapaxes swapdims sym_numel sym_size
sym_storage_offset sym_stride t t_copy take take_along_dim tan tanh tensor tensor_split tensordot threshold tile to
topk trace transpose transpose_copy tril tril_indices triu triu_indices true_divide trunc type_as unbind unbind_copy
unflatten unfold unfold_copy uniform unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze unsqueeze_copy
upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
upsample_trilinear3d var var_mean view view_as view_as_complex view_as_real view_copy vstack where xlogy zero zeros
zeros_like special_erf special_expit special_log_softmax special_logit special_softmax fft_fft fft_fft2 fft_fftn
fft_fftshift fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn
_adaptive_avg_pool2d _adaptive_avg_pool3d _assert_async _assert_scalar _assert_tensor_metadata _batch_norm_no_update
_convolution _log_softmax _native_batch_norm_legit _native_batch_norm_legit_functional
_native_batch_norm_legit_no_training _native_multi_head_attention _scaled_dot_product_flash_attention_for_cpu
_shape_as_tensor _softmax _to_copy _unsafe_index _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa
_upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm
_weight_norm_interface sym_constrain_range sym_constrain_range_for_size
"""
_SCRIPT = """
Bool Complex Float FloatImplicit Int IntImplicit ScalarImplicit append bin capitalize chr clear count degrees device
dict dim divmod element_size endswith extend fabs factorial find floordiv format get get_device hash hex index insert
is_autocast_cpu_enabled is_autocast_enabled is_grad_enabled is_scripting isalnum isalpha isdigit items join keys len
list lower lstrip mathremainder modf numel ord partition percentFormat pop popitem radians replace reverse rfind
rindex rsplit rstrip setdefault size sorted splitlines startswith storage_offset str stride strip title update upper
values warn zfill __and__ __contains__ __derive_index __getitem__ __is__ __isnot__ __lshift__ __not__ __or__
__range_length __round_to_zero_floordiv __rshift__ __xor__ _set_item _unwrap_optional __iand__ __ior__ __ixor__
__ilshift__ __irshift__
"""
_PRIMS_OF_SCRIPT = """
Bool Constant ConstantChunk CreateObject DictConstruct EnumName EnumValue Float GetAttr If Int ListConstruct
ListUnpack Loop ModuleContainerIndex NumToTensor Print RaiseException SetAttr StringIndex TupleConstruct TupleIndex
TupleSlice TupleUnpack Uninitialized abs data device dtype is_cpu is_cuda is_mkldnn is_mps is_nested is_quantized
is_sparse is_meta is_xla isinstance itemsize layout max min ndim rangelist requires_grad shape type unchecked_cast
unchecked_unwrap_optional
"""
_VISION = "deform_conv2d nms ps_roi_align ps_roi_pool roi_align roi_pool"
_NUMBERS = """
quantize_per_tensor dequantize_per_tensor quantize_per_channel dequantize_per_channel
choose_qparams convert_element_type broadcast_in_dim
"""

COMPUTING = frozenset(_ATEN.split())  # in place too, with '_' at the end
CONTAINERS = frozenset(_SCRIPT.split())
SCRIPT_PRIMS = frozenset(_PRIMS_OF_SCRIPT.split())
VISION = frozenset(_VISION.split())
CONVERTING = frozenset(_NUMBERS.split())


def is_allowed(library: str, name: str) -> bool:
    """Whether a network may call `library::name`.

    Example:
        >>> is_allowed("aten", "conv2d"), is_allowed("aten", "relu_"), is_allowed("aten", "from_file")
        (True, True, False)
    """
    if library == "aten":
        return name in COMPUTING or name in CONTAINERS or (name.endswith("_") and name[:-1] in COMPUTING)
    if library == "prim":
        return name in SCRIPT_PRIMS
    if library == "torchvision":
        return name in VISION
    return library in ("prims", "quantized_decomposed") and name in CONVERTING
