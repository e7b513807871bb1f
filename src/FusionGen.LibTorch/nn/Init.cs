namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static class init
        {
            public static Tensor zeros_(Tensor tensor) => Quietly(tensor, t => t.zero_());

            public static Tensor ones_(Tensor tensor) => constant_(tensor, 1);

            public static Tensor constant_(Tensor tensor, Scalar val) => Quietly(tensor, t => t.fill_(val));

            public static Tensor normal_(Tensor tensor, double mean = 0, double std = 1, Generator? generator = null) =>
                Quietly(tensor, t => t.normal_(mean, std, generator));

            public static Tensor uniform_(Tensor tensor, double low = 0, double high = 1, Generator? generator = null) =>
                Quietly(tensor, t => t.uniform_(low, high, generator));

            public static Tensor xavier_uniform_(Tensor tensor, double gain = 1)
            {
                var (fanIn, fanOut) = CalculateFanInAndFanOut(tensor);
                var bound = gain * Math.Sqrt(6.0 / (fanIn + fanOut));
                return uniform_(tensor, -bound, bound);
            }

            public static Tensor xavier_normal_(Tensor tensor, double gain = 1)
            {
                var (fanIn, fanOut) = CalculateFanInAndFanOut(tensor);
                return normal_(tensor, 0, gain * Math.Sqrt(2.0 / (fanIn + fanOut)));
            }

            /// <summary>Normal, redrawn outside [a, b].</summary>
            public static Tensor trunc_normal_(Tensor tensor, double mean = 0, double std = 1, double a = -2, double b = 2, Generator? generator = null)
            {
                using var guard = no_grad();
                Checked(tensor).normal_(mean, std, generator);
                while (true)
                {
                    using var scope = NewDisposeScope();
                    var outside = (tensor < a).logical_or(tensor > b);
                    if (!outside.any().item<bool>())
                        return tensor;
                    tensor.copy_(where(outside, empty_like(tensor).normal_(mean, std, generator), tensor));
                }
            }

            public static (long fanIn, long fanOut) CalculateFanInAndFanOut(Tensor tensor)
            {
                var shape = Checked(tensor).shape;
                if (shape.Length < 2)
                    throw new ArgumentException("fan-in and fan-out need at least two dimensions", nameof(tensor));
                var field = shape.Skip(2).Aggregate(1L, (product, size) => product * size);
                return (shape[1] * field, shape[0] * field);
            }

            private static Tensor Quietly(Tensor tensor, Func<Tensor, Tensor> change)
            {
                using var guard = no_grad();
                return change(Checked(tensor));
            }
        }
    }
}
