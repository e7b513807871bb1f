using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>The methods of a static program, in the order in which they run.</summary>
public enum Stage
{
    /// <summary>What depends on parameters only.</summary>
    Shared,

    /// <summary>From images to logits.</summary>
    Forward,

    /// <summary>From the logits' gradient to sums over images.</summary>
    Backward,

    /// <summary>From sums over images to gradients.</summary>
    Finish,
}

/// <summary>Memory of a buffer, or of all those of a section that are written first in one run and read last in another.</summary>
/// <param name="Phase">Which arena it is in.</param>
public sealed record StaticBlock(Phase Phase)
{
    /// <summary>Numbers, in all or per image.</summary>
    public long Elements { get; internal set; }

    /// <summary>First instruction that writes it.</summary>
    public int First { get; internal set; } = int.MaxValue;

    /// <summary>Last instruction that reads it.</summary>
    public int Last { get; internal set; } = -1;

    /// <summary>Where it is in its arena.</summary>
    public long Offset { get; internal set; } = -1;

    /// <inheritdoc/>
    public bool Equals(StaticBlock? other) => ReferenceEquals(this, other);

    /// <inheritdoc/>
    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
}

/// <summary>Consecutive instructions of one scope.</summary>
/// <param name="Stage">When they run.</param>
/// <param name="Scope">The scope.</param>
/// <param name="Section">Its section; null for what is common.</param>
public sealed record StaticRun(Stage Stage, string Scope, Section? Section)
{
    /// <summary>The instructions.</summary>
    public List<StaticInstruction> Instructions { get; } = [];

    /// <summary>The memory they touch: by which instruction first, by which last.</summary>
    internal Dictionary<StaticBlock, (int First, int Last)> Blocks { get; } = [];
}

/// <summary>A run, as itself or for a section that is like its own.</summary>
/// <param name="Run">What is called.</param>
/// <param name="Section">For which section; null for what is common.</param>
public sealed record StaticCall(StaticRun Run, Section? Section)
{
    /// <summary>The scope that is called for.</summary>
    public string Scope => this.Section is null || this.Section == this.Run.Section ? this.Run.Scope : this.Run.Scope.Replace(this.Run.Section!.Scope, this.Section.Scope);
}

/// <summary>
/// A plan laid out: what is planned for a section is called for every section like it, each with blocks of memory of its own. Blocks that
/// neighbours hand each other are theirs together. Two blocks share memory if nothing needs both at once.
/// </summary>
public sealed class StaticLayout
{
    private readonly StaticPlan plan;
    private readonly Sections sections;
    private readonly List<StaticRun> runs = [];
    private readonly List<StaticCall> calls = [];
    // For every section what stands for the blocks of the section that is planned in its place.
    private readonly Dictionary<StaticBlock, StaticBlock>[] own;

    internal StaticLayout(StaticPlan plan, IEnumerable<Value> results)
    {
        this.plan = plan;
        this.sections = plan.Network.Sections;
        this.own = new Dictionary<StaticBlock, StaticBlock>[this.sections.All.Count];
        this.Split();
        var buffers = this.Lifetimes(results);
        var blocks = this.Group(buffers);
        this.Unroll();
        this.Bind(blocks);
        var all = this.Lifetimes([.. results.Select(result => plan[result].Buffer?.Block).OfType<StaticBlock>()]);
        this.SampleElements = Arrange([.. all.Where(block => block.Phase == Phase.Sample)]);
        this.SharedElements = Arrange([.. all.Where(block => block.Phase == Phase.Shared)]);
        this.PartialElements = Append(all.Where(block => block.Phase == Phase.Partial));
    }

    /// <summary>The calls, in order.</summary>
    public IReadOnlyList<StaticCall> Calls => this.calls;

    internal long SharedElements { get; }

    internal long PartialElements { get; }

    internal long SampleElements { get; }

    /// <summary>
    /// Where a forward pass may start for each layer with a mixture, and the memory of images that what follows needs: nothing before depends on the layer's π
    /// (METHOD §6.2: masks at a layer leave what lies before it as it is).
    /// </summary>
    public IEnumerable<(int Layer, int Call, IReadOnlyList<StaticBlock> Live)> Entries()
    {
        var forward = this.calls.FindAll(call => call.Run.Stage == Stage.Forward);
        var before = this.calls.FindAll(call => call.Run.Stage < Stage.Forward).Sum(call => call.Run.Instructions.Count);
        var entered = new HashSet<int>();
        for (var i = 0; i < forward.Count; i++)
        {
            if (forward[i].Section is { Mixture: >= 0 } section && entered.Add(section.Mixture))
                yield return (section.Mixture, i, this.Live(before));
            before += forward[i].Run.Instructions.Count;
        }
    }

    /// <summary>Blocks of images that are written before an instruction and read by it or later.</summary>
    private IReadOnlyList<StaticBlock> Live(int instruction) =>
        [.. this.calls.SelectMany(call => call.Run.Blocks.Keys.Select(block => this.Block(block, call.Section))).Distinct()
            .Where(block => block.Phase == Phase.Sample && block.First < instruction && block.Last >= instruction).OrderBy(block => block.Offset)];

    /// <summary>Where a place begins when a section stands in for the one that was planned.</summary>
    public long Offset(StaticPlace place, Section? section) => this.Block(place.Buffer!.Block, section).Offset + place.Buffer.Start + place.Start;

    /// <summary>The block that a section has in the place of one that was planned.</summary>
    public StaticBlock Block(StaticBlock block, Section? section) => section is not null && this.own[section.Index].TryGetValue(block, out var other) ? other : block;

    /// <summary>The section that is planned in another's place.</summary>
    private Section Planned(Section section) => this.plan.Network.IsShort ? section.Like : section;

    /// <summary>For a sum of what several sections have: the summands with their sections, last section first; null for any other instruction.</summary>
    public IReadOnlyList<(StaticPlace Place, Section? Section)>? Summands(StaticInstruction instruction)
    {
        if (instruction.Value is not { Op: AddOp, Scope: GraphBuilder.SharedScope + GraphBuilder.GradientSuffix } value)
            return null;
        var parts = value.Inputs.Select((input, i) => (Section: this.sections.Find(input.Scope), Place: instruction.Inputs[i])).ToList();
        return [
            .. parts.Where(part => part.Section is null).Select(part => (part.Place, (Section?)null)),
            .. this.sections.All.Reverse().SelectMany(section => parts.Where(part => part.Section == this.Planned(section)).Select(part => (part.Place, (Section?)section)))];
    }

    /// <summary>Runs of the planned instructions, stage after stage.</summary>
    private void Split()
    {
        var last = this.plan.Network.Logits.Id;
        foreach (var stage in (Stage[])Enum.GetValues(typeof(Stage)))
        {
            StaticRun? run = null;
            foreach (var instruction in this.plan.Instructions)
            {
                if (StageOf(instruction, last) != stage)
                    continue;
                if (run?.Scope != instruction.Value.Scope)
                    this.runs.Add(run = new StaticRun(stage, instruction.Value.Scope, this.sections.IsChain ? this.sections.Find(instruction.Value.Scope) : null));
                run.Instructions.Add(instruction);
            }
        }
    }

    private static Stage StageOf(StaticInstruction instruction, int last) => instruction.Phase switch
    {
        Phase.Shared => Stage.Shared,
        Phase.Finish => Stage.Finish,
        _ => instruction.Value.Id <= last ? Stage.Forward : Stage.Backward,
    };

    /// <summary>When each buffer is written first and read last.</summary>
    private List<StaticBuffer> Lifetimes(IEnumerable<Value> results)
    {
        var buffers = new List<StaticBuffer>();
        var position = 0;
        foreach (var run in this.runs)
        {
            foreach (var instruction in run.Instructions)
            {
                foreach (var place in Places(instruction))
                {
                    if (place?.Buffer is not { } buffer)
                        continue;
                    if (buffer.Last < 0)
                    {
                        buffers.Add(buffer);
                        buffer.First = position;
                    }
                    buffer.Last = position;
                }
                position++;
            }
        }
        foreach (var result in results)
        {
            if (this.plan[result].Buffer is { } buffer)
                buffer.Last = int.MaxValue;
        }
        return buffers;
    }

    private static IEnumerable<StaticPlace?> Places(StaticInstruction instruction) =>
        [.. instruction.Inputs, instruction.Result, instruction.Residual, instruction.Saved, .. instruction.Parts.Values];

    /// <summary>
    /// Buffers of a section that repeats are one block where they are written first in one run and read last in another, and those that come
    /// and go within a run share its memory; any other buffer is a block of its own.
    /// </summary>
    private List<StaticBlock> Group(List<StaticBuffer> buffers)
    {
        var runOf = this.runs.SelectMany((run, i) => Enumerable.Repeat(i, run.Instructions.Count)).ToArray();
        var blocks = new Dictionary<(int, int, Phase), List<StaticBuffer>>();
        var all = new List<StaticBlock>();
        foreach (var buffer in buffers)
        {
            var first = runOf[buffer.First];
            var key = (first, buffer.Last == int.MaxValue ? int.MaxValue : runOf[buffer.Last], ArenaOf(buffer));
            var isRepeated = this.plan.Network.IsShort && this.runs[first].Section is { Like.Times: > 1 };
            if (isRepeated && blocks.TryGetValue(key, out var members))
            {
                buffer.Block = members[0].Block;
                members.Add(buffer);
                continue;
            }
            all.Add(buffer.Block = new StaticBlock(ArenaOf(buffer)) { Elements = buffer.Elements });
            if (isRepeated)
                blocks.Add(key, [buffer]);
        }
        foreach (var pair in blocks)
        {
            var (first, last, arena) = pair.Key;
            pair.Value[0].Block.Elements = first == last && arena != Phase.Partial ? Pack(pair.Value) : Append(pair.Value);
        }
        foreach (var run in this.runs)
        {
            for (var i = 0; i < run.Instructions.Count; i++)
            {
                foreach (var place in Places(run.Instructions[i]))
                {
                    if (place?.Buffer is { } buffer)
                        run.Blocks[buffer.Block] = (run.Blocks.TryGetValue(buffer.Block, out var times) ? times.First : i, i);
                }
            }
        }
        return all;
    }

    private static Phase ArenaOf(StaticBuffer buffer) => buffer.Phase == Phase.Finish ? Phase.Shared : buffer.Phase;

    /// <summary>The calls of every section, those left out among them.</summary>
    private void Unroll()
    {
        if (!this.plan.Network.IsShort)
        {
            this.calls.AddRange(this.runs.Select(run => new StaticCall(run, run.Section)));
            return;
        }
        foreach (var stage in this.runs.ToLookup(run => run.Stage))
        {
            var bySection = stage.ToLookup(run => run.Section);
            var chain = stage.Key is Stage.Shared or Stage.Forward ? this.sections.All : this.sections.All.Reverse();
            var common = bySection[null].Select(run => new StaticCall(run, null));
            if (stage.Key == Stage.Shared)
                this.calls.AddRange(common);
            this.calls.AddRange(chain.SelectMany(section => bySection[this.Planned(section)].Select(run => new StaticCall(run, section))));
            if (stage.Key != Stage.Shared)
                this.calls.AddRange(common);
        }
    }

    /// <summary>Gives every section blocks of its own, and those of its neighbours that it touches.</summary>
    private void Bind(List<StaticBlock> blocks)
    {
        var chain = this.sections.All;
        for (var i = 0; i < chain.Count; i++)
            this.own[i] = [];
        if (!this.plan.Network.IsShort)
            return;
        var order = new Dictionary<StaticBlock, int>();
        foreach (var block in blocks)
            order.Add(block, order.Count);
        var touched = new HashSet<StaticBlock>[chain.Count];
        var owner = new Dictionary<StaticBlock, Section?>();
        foreach (var run in this.runs)
        {
            foreach (var block in run.Blocks.Keys)
            {
                if (!owner.ContainsKey(block))
                    owner.Add(block, run.Section);
                if (run.Section is { } section && !(owner[block] is null))
                    (touched[section.Index] ??= []).Add(block);
            }
        }
        foreach (var section in chain)
        {
            var planned = this.Planned(section);
            foreach (var block in touched[planned.Index] ?? [])
            {
                if (owner[block] == planned)
                    this.own[section.Index].Add(block, section == planned ? block : new StaticBlock(block.Phase) { Elements = block.Elements });
            }
        }

        // What planned neighbours both touch is, for the neighbours they stand for, one block as well.
        var kept = this.sections.Short;
        var next = kept.Zip(kept.Skip(1), (section, following) => (section, following)).ToDictionary(pair => pair.section, pair => pair.following);
        var previous = next.ToDictionary(pair => pair.Value, pair => pair.Key);
        for (var i = 0; i + 1 < chain.Count; i++)
            this.Join(chain[i], chain[i + 1], forward: true, Handed);
        for (var i = chain.Count - 2; i >= 0; i--)
            this.Join(chain[i], chain[i + 1], forward: false, Handed);
        foreach (var section in chain)
        {
            foreach (var block in touched[this.Planned(section).Index] ?? [])
            {
                if (!this.own[section.Index].ContainsKey(block))
                    throw new UnrollException($"{section.Scope} touches memory that no neighbour hands to it");
            }
        }

        (List<StaticBlock> Left, List<StaticBlock> Right) Handed(Section left, Section right)
        {
            var (a, b) = (this.Planned(left), this.Planned(right));
            return (Between(a, next[a]), Between(previous[b], b));
        }

        List<StaticBlock> Between(Section one, Section other) =>
            touched[one.Index] is { } first && touched[other.Index] is { } second ? [.. first.Where(second.Contains).OrderBy(block => order[block])] : [];
    }

    private void Join(Section left, Section right, bool forward, Func<Section, Section, (List<StaticBlock> Left, List<StaticBlock> Right)> handed)
    {
        var (a, b) = handed(left, right);
        if (a.Count != b.Count)
            throw new UnrollException($"{left.Scope} and {right.Scope} do not fit");
        for (var i = 0; i < a.Count; i++)
        {
            var (from, to) = forward ? (this.own[left.Index], this.own[right.Index]) : (this.own[right.Index], this.own[left.Index]);
            var (source, target) = forward ? (a[i], b[i]) : (b[i], a[i]);
            if (source.Elements != target.Elements || source.Phase != target.Phase)
                throw new UnrollException($"{left.Scope} and {right.Scope} do not fit");
            if (from.TryGetValue(source, out var block) && !to.ContainsKey(target))
                to.Add(target, block);
        }
    }

    /// <summary>When each block is written first and read last.</summary>
    private List<StaticBlock> Lifetimes(HashSet<StaticBlock> results)
    {
        var all = new List<StaticBlock>();
        var start = 0;
        foreach (var call in this.calls)
        {
            var run = call.Run;
            foreach (var pair in run.Blocks)
                Touch(this.Block(pair.Key, call.Section), start + pair.Value.First, results.Contains(pair.Key) ? int.MaxValue : start + pair.Value.Last);
            if (run.Section is null && this.plan.Network.IsShort)
            {
                foreach (var (place, section) in run.Instructions.Select(this.Summands).SelectMany(summands => summands ?? []))
                {
                    if (place.Buffer is { } buffer)
                        Touch(this.Block(buffer.Block, section), start, start + run.Instructions.Count);
                }
            }
            start += run.Instructions.Count;
        }
        return all;

        void Touch(StaticBlock block, int first, int last)
        {
            if (block.Last < 0)
            {
                all.Add(block);
                block.First = first;
            }
            block.Last = Math.Max(block.Last, last);
        }
    }

    /// <summary>Largest first, each at the lowest place where it is in nobody's way at any time.</summary>
    private static long Arrange(List<StaticBlock> blocks)
    {
        var spans = blocks.ConvertAll(block => new Span(block.Elements, block.First, block.Last, offset => block.Offset = offset));
        return Span.Arrange(spans);
    }

    private static long Pack(List<StaticBuffer> buffers) =>
        Span.Arrange(buffers.ConvertAll(buffer => new Span(buffer.Elements, buffer.First, buffer.Last, offset => buffer.Start = offset)));

    private static long Append(List<StaticBuffer> buffers)
    {
        var end = 0L;
        foreach (var buffer in buffers)
        {
            buffer.Start = end;
            end += buffer.Elements;
        }
        return end;
    }

    private static long Append(IEnumerable<StaticBlock> blocks)
    {
        var end = 0L;
        foreach (var block in blocks)
        {
            block.Offset = end;
            end += block.Elements;
        }
        return end;
    }

    /// <summary>Something that needs memory for a time.</summary>
    private sealed class Span(long elements, int first, int last, Action<long> place)
    {
        private long offset;

        public static long Arrange(List<Span> spans)
        {
            // In the order of their offsets.
            var placed = new List<Span>();
            var end = 0L;
            foreach (var span in spans.OrderByDescending(span => span.Elements).ThenBy(span => span.First))
            {
                var offset = 0L;
                foreach (var other in placed)
                {
                    if (other.First > span.Last || span.First > other.Last)
                        continue;
                    if (offset + span.Elements <= other.offset)
                        break;
                    offset = Math.Max(offset, other.offset + other.Elements);
                }
                span.Place(offset);
                placed.Insert(placed.FindLastIndex(other => other.offset <= offset) + 1, span);
                end = Math.Max(end, offset + span.Elements);
            }
            return end;
        }

        private long Elements => elements;

        private int First => first;

        private int Last => last;

        private void Place(long at)
        {
            this.offset = at;
            place(at);
        }
    }
}

/// <summary>A short plan that does not say what the whole one is.</summary>
internal sealed class UnrollException(string message) : Exception(message);
