namespace TorchSharp;

public static unsafe partial class torch
{
    public static bool is_grad_enabled() => LibTorch.IsPresent ? Native.GradMode() != 0 : !ManagedModes.IsGradientFree;

    public static IDisposable no_grad() => new GradMode(false);

    public static IDisposable enable_grad(bool enabled = true) => new GradMode(enabled);

    public static IDisposable set_grad_enabled(bool mode = true) => new GradMode(mode);

    public static bool is_inference_mode_enabled() => LibTorch.IsPresent ? Native.InferenceMode() != 0 : ManagedModes.IsInference;

    public static IDisposable inference_mode(bool mode = true) => LibTorch.IsPresent ? new InferenceMode(mode) : ManagedModes.Inference(mode);

    public static class autograd
    {
        /// <summary>Gradients of <paramref name="outputs"/> with respect to <paramref name="inputs"/>; null for an unused input.</summary>
        public static IList<Tensor> grad(
            IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null,
            bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            ArgumentNullException.ThrowIfNull(outputs);
            ArgumentNullException.ThrowIfNull(inputs);
            LibTorch.Require("autograd");
            var o = stackalloc nint[outputs.Count];
            var i = stackalloc nint[inputs.Count];
            var g = stackalloc nint[grad_outputs?.Count ?? 0];
            var results = stackalloc nint[inputs.Count];
            Copy(outputs, o);
            Copy(inputs, i);
            Copy(grad_outputs, g);
            Native.Check(Native.Grad(
                o, outputs.Count, i, inputs.Count, g, grad_outputs?.Count ?? 0,
                retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, results));
            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            var gradients = new Tensor[inputs.Count];
            for (var k = 0; k < gradients.Length; k++)
                gradients[k] = results[k] == 0 ? null! : new Tensor(results[k]);
            return gradients;
        }

        public static void backward(
            IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null)
        {
            ArgumentNullException.ThrowIfNull(tensors);
            LibTorch.Require("autograd");
            var t = stackalloc nint[tensors.Count];
            var g = stackalloc nint[grad_tensors?.Count ?? 0];
            var i = stackalloc nint[inputs?.Count ?? 0];
            Copy(tensors, t);
            Copy(grad_tensors, g);
            Copy(inputs, i);
            Native.Check(Native.Backward(
                t, tensors.Count, g, grad_tensors?.Count ?? 0, retain_graph ?? create_graph ? 1 : 0, create_graph ? 1 : 0, i, inputs?.Count ?? 0));
            GC.KeepAlive(tensors);
            GC.KeepAlive(grad_tensors);
            GC.KeepAlive(inputs);
        }

        private static void Copy(IList<Tensor>? tensors, nint* handles)
        {
            for (var i = 0; i < (tensors?.Count ?? 0); i++)
                handles[i] = tensors![i].Handle;
        }
    }

    public partial class Tensor
    {
        public bool requires_grad
        {
            get => this.Kept(Handles.RequiresGrad(this.Handle));
            set
            {
                Handles.SetRequiresGrad(this.Handle, value);
                GC.KeepAlive(this);
            }
        }

        public bool is_leaf => this.Kept(Handles.IsLeaf(this.Handle));

        /// <summary>The accumulated gradient, a new object at every read; null while there is none.</summary>
        public Tensor? grad
        {
            get
            {
                var gradient = this.Kept(Handles.Gradient(this.Handle));
                return gradient == 0 ? null : new Tensor(gradient);
            }

            set
            {
                Handles.SetGradient(this.Handle, value is null ? 0 : value.Handle);
                GC.KeepAlive(this);
                GC.KeepAlive(value);
            }
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => this.requires_grad_(requires_grad);

        public void retain_grad()
        {
            LibTorch.Require("autograd");
            Native.Check(Native.RetainGrad(this.Handle));
            GC.KeepAlive(this);
        }

        public void backward() => autograd.backward([this]);

        public void backward(IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false, IList<Tensor>? inputs = null) =>
            autograd.backward([this], grad_tensors, retain_graph || create_graph, create_graph, inputs);
    }

    /// <summary>Restores, when disposed, the gradient mode of its thread.</summary>
    private sealed class GradMode : IDisposable
    {
        private readonly bool previous = is_grad_enabled();

        public GradMode(bool enabled) => Set(enabled);

        public void Dispose() => Set(this.previous);

        private static void Set(bool enabled)
        {
            if (LibTorch.IsPresent)
                Native.SetGradMode(enabled ? 1 : 0);
            else
                ManagedModes.IsGradientFree = !enabled;
        }
    }

    private sealed class InferenceMode(bool enabled) : IDisposable
    {
        private nint guard = Native.EnterInferenceMode(enabled ? 1 : 0);

        public void Dispose()
        {
            var entered = Interlocked.Exchange(ref this.guard, 0);
            if (entered != 0)
                Native.LeaveInferenceMode(entered);
        }
    }
}
