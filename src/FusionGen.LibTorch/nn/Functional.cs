namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public enum Reduction : long
        {
            None = 0,
            Mean = 1,
            Sum = 2,
        }

        public static class functional
        {
            private static readonly long[] ones = [1, 1];
            private static readonly long[] zeros = [0, 0];

            public static Tensor linear(Tensor input, Tensor weights, Tensor? bias = null) => Operators.linear.Call(input, weights, bias);

            public static Tensor layer_norm(Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5) =>
                Operators.layer_norm.Call(input, normalized_shape, weight, bias, eps);

            public static Tensor gelu(Tensor x) => Operators.gelu.Call(x);

            public static Tensor silu(Tensor x, bool inplace = false) => inplace ? Checked(x).silu_() : Checked(x).silu();

            public static Tensor relu(Tensor x, bool inplace = false) => inplace ? Checked(x).relu_() : Checked(x).relu();

            public static Tensor tanh(Tensor x, bool inplace = false) => inplace ? Checked(x).tanh_() : Checked(x).tanh();

            public static Tensor sigmoid(Tensor x) => Checked(x).sigmoid();

            public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => Checked(input).softmax(dim, dtype);

            public static Tensor log_softmax(Tensor x, long dim) => Checked(x).log_softmax(dim);

            public static Tensor cross_entropy(
                Tensor input, Tensor target, Tensor? weight = null, long ignore_index = -100, Reduction reduction = Reduction.Mean, double label_smoothing = 0) =>
                Operators.cross_entropy.Call(input, target, weight, (long)reduction, ignore_index, label_smoothing);

            public static Tensor nll_loss(Tensor input, Tensor target, Tensor? weight = null, Reduction reduction = Reduction.Mean) =>
                Operators.nll_loss.Call(input, target, weight, (long)reduction);

            public static Tensor mse_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) =>
                Operators.mse_loss.Call(input, target, (long)reduction);

            public static Tensor conv2d(
                Tensor input, Tensor weight, Tensor? bias = null, long[]? strides = null, long[]? padding = null, long[]? dilation = null, long groups = 1) =>
                Operators.conv2d.Call(input, weight, bias, strides ?? ones, padding ?? zeros, dilation ?? ones, groups);

            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false) => inplace
                ? Operators.dropout_.CallOn(Checked(input), p, training)
                : Operators.dropout.Call(input, p, training);

            public static Tensor dropout2d(Tensor input, double p = 0.5, bool training = true, bool inplace = false) => inplace
                ? Operators.feature_dropout_.CallOn(Checked(input), p, training)
                : Operators.feature_dropout.Call(input, p, training);

            public static Tensor pad(Tensor input, long[] pad, PaddingModes mode = PaddingModes.Constant, double value = 0) => mode switch
            {
                PaddingModes.Constant or PaddingModes.Zeros => Operators.pad.Call(input, pad, "constant", value),
                _ => Operators.pad.Call(input, pad, mode.ToString().ToLowerInvariant()),
            };

            public static Tensor one_hot(Tensor x, long num_classes = -1) => Operators.one_hot.Call(x, num_classes);

            /// <summary>Divides by the norm along a dimension, or by <paramref name="eps"/> where that is larger.</summary>
            public static Tensor normalize(Tensor input, double p = 2, long dim = 1, double eps = 1e-12)
            {
                using var norm = Operators.norm_dim.Call(input, p, new[] { dim }, true);
                using var divisor = norm.clamp_min(eps);
                return input.div(divisor);
            }

            /// <summary>Resizes images (B, C, H, W).</summary>
            /// <exception cref="ArgumentException">Not exactly one of size and factor is given.</exception>
            /// <exception cref="NotSupportedException">The mode is none of nearest, bilinear and bicubic.</exception>
            public static Tensor interpolate(
                Tensor x, long[]? size = null, double[]? scale_factor = null, InterpolationMode mode = InterpolationMode.Nearest,
                bool? align_corners = null, bool recompute_scale_factor = false, bool antialias = false)
            {
                if (size is null == scale_factor is null)
                    throw new ArgumentException("give either size or scale_factor");
                if (recompute_scale_factor)
                    throw new NotSupportedException("recompute_scale_factor is not supported; give size");
                var align = align_corners ?? false;
                return mode switch
                {
                    InterpolationMode.Nearest => Operators.nearest2d.Call(x, size, scale_factor),
                    InterpolationMode.Bilinear => (antialias ? Operators.bilinear2d_aa : Operators.bilinear2d).Call(x, size, align, scale_factor),
                    InterpolationMode.Bicubic => (antialias ? Operators.bicubic2d_aa : Operators.bicubic2d).Call(x, size, align, scale_factor),
                    _ => throw new NotSupportedException($"interpolation {mode} is not supported; use Nearest, Bilinear or Bicubic"),
                };
            }

            /// <summary>
            /// softmax(q·kᵀ/√d + mask)·v. The fused operator where libtorch has it (2.0 on), else written out; a mask of truth values keeps where true.
            /// </summary>
            public static Tensor scaled_dot_product_attention(
                Tensor query, Tensor key, Tensor value, Tensor? attn_mask = null, double p = 0, bool is_casual = false)
            {
                if (Operators.attention.Exists)
                    return Operators.attention.Call(query, key, value, attn_mask, p, is_casual);
                using var scope = NewDisposeScope();
                var scores = query.matmul(key.transpose(-2, -1)) / Math.Sqrt(query.shape[^1]);
                if (is_casual)
                    attn_mask = torch.ones([query.shape[^2], key.shape[^2]], ScalarType.Bool, query.device).tril();
                if (attn_mask is not null)
                    scores = attn_mask.dtype == ScalarType.Bool ? scores.masked_fill(attn_mask.logical_not(), double.NegativeInfinity) : scores + attn_mask;
                return scope.MoveToOuter(dropout(scores.softmax(-1), p).matmul(value));
            }
        }
    }
}
