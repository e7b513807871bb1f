using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static class utils
        {
            /// <summary>Scales all gradients by one factor so that their common norm is at most <paramref name="max_norm"/>.</summary>
            /// <returns>The norm before.</returns>
            public static double clip_grad_norm_(IEnumerable<Parameter> tensors, double max_norm, double norm_type = 2)
            {
                ArgumentNullException.ThrowIfNull(tensors);
                using var guard = no_grad();
                using var scope = NewDisposeScope();
                var gradients = tensors.Select(parameter => parameter.grad).OfType<Tensor>().ToArray();
                if (gradients.Length == 0)
                    return 0;
                var total = stack(gradients.Select(gradient => gradient.norm((float)norm_type))).norm((float)norm_type).ToDouble();
                var factor = max_norm / (total + 1e-6);
                if (factor < 1)
                {
                    foreach (var gradient in gradients)
                        gradient.mul_(factor);
                }
                return total;
            }
        }
    }
}
