using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>
        /// Parameters, buffers and submodules under names, in the order of registration. What is registered leaves its dispose scope: the module owns it.
        /// </summary>
        public class Module : IDisposable
        {
            private readonly string name;
            private readonly Named<Parameter> ownParameters = new();
            private readonly Named<(Tensor Tensor, bool Persistent)> ownBuffers = new();
            private readonly Named<Module> ownModules = new();

            protected Module(string name)
            {
                ArgumentNullException.ThrowIfNull(name);
                this.name = name;
            }

            public virtual bool training { get; private set; } = true;

            public virtual string GetName() => this.name;

            public virtual void register_parameter(string name, Parameter param)
            {
                ArgumentNullException.ThrowIfNull(param);
                this.RefuseTaken(name);
                this.ownParameters.Add(name, (Parameter)param.DetachFromDisposeScope());
            }

            public virtual void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                ArgumentNullException.ThrowIfNull(tensor);
                this.RefuseTaken(name);
                this.ownBuffers.Add(name, (tensor.DetachFromDisposeScope(), persistent));
            }

            public virtual void register_module(string name, Module submodule)
            {
                ArgumentNullException.ThrowIfNull(submodule);
                this.RefuseTaken(name);
                this.ownModules.Add(name, submodule);
            }

            public void add_module(string name, Module module) => this.register_module(name, module);

            public virtual IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true)
            {
                var seen = new HashSet<Parameter>(ReferenceEqualityComparer.Instance);
                foreach (var (path, module) in this.Tree("", recurse))
                {
                    foreach (var (key, parameter) in module.ownParameters)
                    {
                        if (seen.Add(parameter))
                            yield return (path + key, parameter);
                    }
                }
            }

            public virtual IEnumerable<Parameter> parameters(bool recurse = true) => this.named_parameters(recurse).Select(pair => pair.parameter);

            public virtual IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_nonpersistent = true)
            {
                foreach (var (path, module) in this.Tree("", recurse))
                {
                    foreach (var (key, (tensor, persistent)) in module.ownBuffers)
                    {
                        if (persistent || include_nonpersistent)
                            yield return (path + key, tensor);
                    }
                }
            }

            public virtual IEnumerable<Tensor> buffers(bool recurse = true, bool include_nonpersistent = true) =>
                this.named_buffers(recurse, include_nonpersistent).Select(pair => pair.buffer);

            public virtual IEnumerable<(string name, Module module)> named_children() => this.ownModules;

            public virtual IEnumerable<Module> children() => this.ownModules.Select(pair => pair.Value);

            /// <summary>Every module below this one.</summary>
            public virtual IEnumerable<(string name, Module module)> named_modules() =>
                this.Tree("", recurse: true).Skip(1).Select(pair => (pair.Path[..^1], pair.Module));

            public virtual IEnumerable<Module> modules() => this.named_modules().Select(pair => pair.module);

            public virtual bool has_parameter(string target) => this.named_parameters().Any(pair => pair.name == target);

            public virtual Parameter? get_parameter(string target) => this.named_parameters().FirstOrDefault(pair => pair.name == target).parameter;

            /// <summary>The parameters and persistent buffers themselves, not copies.</summary>
            public virtual Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                destination ??= [];
                var start = string.IsNullOrEmpty(prefix) ? "" : prefix + ".";
                foreach (var (key, parameter) in this.named_parameters())
                    destination[start + key] = parameter;
                foreach (var (key, buffer) in this.named_buffers(include_nonpersistent: false))
                    destination[start + key] = buffer;
                return destination;
            }

            /// <summary>Copies values into the parameters and persistent buffers of the same names.</summary>
            /// <returns>Names that <paramref name="source"/> lacks, and names it has in vain.</returns>
            /// <exception cref="InvalidOperationException">Strict, and there are such names.</exception>
            public virtual (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
                Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                ArgumentNullException.ThrowIfNull(source);
                var own = this.state_dict();
                var missing = own.Keys.Where(key => !source.ContainsKey(key) && skip?.Contains(key) != true).ToList();
                var unexpected = source.Keys.Where(key => !own.ContainsKey(key) && skip?.Contains(key) != true).ToList();
                if (strict && missing.Count + unexpected.Count > 0)
                    throw new InvalidOperationException($"{this.GetName()}: missing [{string.Join(", ", missing)}], unexpected [{string.Join(", ", unexpected)}]");
                using var guard = no_grad();
                foreach (var (key, tensor) in own)
                {
                    if (skip?.Contains(key) != true && source.TryGetValue(key, out var value))
                        tensor.copy_(value);
                }
                return (missing, unexpected);
            }

            public virtual void train(bool train = true)
            {
                foreach (var (_, module) in this.Tree("", recurse: true))
                    module.training = train;
            }

            public virtual void eval() => this.train(false);

            public virtual void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in this.parameters())
                {
                    if (set_to_none)
                    {
                        parameter.grad = null;
                        continue;
                    }
                    using var gradient = parameter.grad;
                    gradient?.detach_().zero_();
                }
            }

            public virtual Module apply(Action<Module> fn)
            {
                ArgumentNullException.ThrowIfNull(fn);
                foreach (var child in this.children())
                    child.apply(fn);
                fn(this);
                return this;
            }

            public void Dispose()
            {
                this.Dispose(true);
                GC.SuppressFinalize(this);
            }

            /// <summary>Moves or converts every parameter and buffer, in place: the objects stay the same.</summary>
            internal void Convert(ScalarType? dtype, Device? device, bool nonBlocking)
            {
                using var guard = no_grad();
                foreach (var tensor in this.parameters().Concat(this.buffers()))
                {
                    // As PyTorch: only floating-point tensors change their type.
                    var type = tensor.is_floating_point() ? dtype ?? tensor.dtype : tensor.dtype;
                    tensor.Become(tensor.to(type, device ?? tensor.device, non_blocking: nonBlocking));
                }
            }

            /// <summary>Registers what derived constructors put into fields; modules here register explicitly.</summary>
            protected virtual void RegisterComponents()
            {
            }

            protected virtual void Dispose(bool disposing)
            {
                if (!disposing)
                    return;
                foreach (var (_, parameter) in this.ownParameters)
                    parameter.Dispose();
                foreach (var (_, buffer) in this.ownBuffers)
                    buffer.Tensor.Dispose();
                foreach (var (_, module) in this.ownModules)
                    module.Dispose();
            }

            private IEnumerable<(string Path, Module Module)> Tree(string path, bool recurse)
            {
                yield return (path, this);
                if (!recurse)
                    yield break;
                foreach (var (key, child) in this.ownModules)
                {
                    foreach (var below in child.Tree($"{path}{key}.", recurse))
                        yield return below;
                }
            }

            private void RefuseTaken(string name)
            {
                ArgumentException.ThrowIfNullOrEmpty(name);
                if (this.ownParameters.Contains(name) || this.ownBuffers.Contains(name) || this.ownModules.Contains(name))
                    throw new InvalidOperationException($"{this.name} already has a '{name}'");
            }
        }

        /// <summary>A module with one input.</summary>
        public abstract class Module<T, TResult> : Module
        {
            protected Module(string name)
                : base(name)
            {
            }

            public abstract TResult forward(T input);

            public TResult call(T input) => this.forward(input);
        }

        /// <summary>A dictionary that keeps the order of insertion.</summary>
        private sealed class Named<T> : IEnumerable<(string Key, T Value)>
        {
            private readonly List<(string Key, T Value)> entries = [];
            private readonly HashSet<string> keys = new(StringComparer.Ordinal);

            public void Add(string key, T value)
            {
                this.keys.Add(key);
                this.entries.Add((key, value));
            }

            public bool Contains(string key) => this.keys.Contains(key);

            public IEnumerator<(string Key, T Value)> GetEnumerator() => this.entries.GetEnumerator();

            System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => this.GetEnumerator();
        }
    }
}
