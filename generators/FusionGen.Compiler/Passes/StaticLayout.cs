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
/// <param name="phase">Which arena it is in.</param>
/// <param name="index">Its number.</param>
/// <param name="owner">The section that writes it first; null for what is common.</param>
public sealed class StaticBlock(Phase phase, int index, Section? owner) : StaticExtent
{
    /// <summary>Which arena it is in.</summary>
    public Phase Phase => phase;

    internal int Index => index;

    internal Section? Owner => owner;
}

/// <summary>Consecutive instructions of one scope.</summary>
/// <param name="stage">When they run.</param>
/// <param name="scope">The scope.</param>
/// <param name="section">Its section; null for what is common.</param>
public sealed class StaticRun(Stage stage, string scope, Section? section)
{
    /// <summary>When they run.</summary>
    public Stage Stage => stage;

    /// <summary>The scope.</summary>
    public string Scope => scope;

    /// <summary>Its section; null for what is common.</summary>
    public Section? Section => section;

    /// <summary>The instructions.</summary>
    public List<StaticInstruction> Instructions { get; } = [];

    /// <summary>The memory they touch: by which instruction first, by which last.</summary>
    internal List<(StaticBlock Block, int First, int Last)> Blocks { get; } = [];
}

/// <summary>A run, as itself or for a section that is like its own.</summary>
/// <param name="run">What is called.</param>
/// <param name="section">For which section; null for what is common.</param>
public readonly struct StaticCall(StaticRun run, Section? section)
{
    /// <summary>What is called.</summary>
    public StaticRun Run => run;

    /// <summary>For which section; null for what is common.</summary>
    public Section? Section => section;

    /// <summary>The scope that is called for.</summary>
    public string Scope => section is null || section == run.Section ? run.Scope : section.Scope + run.Scope.Substring(run.Section!.Scope.Length);
}

/// <summary>
/// A plan laid out: what is planned for a section is called for every section like it, each with blocks of memory of its own. Blocks that
/// neighbours hand each other are theirs together. Two blocks share memory if nothing needs both at once.
/// </summary>
public sealed class StaticLayout
{
    private readonly StaticPlan plan;
    private readonly Sections sections;
    private readonly bool isShort;
    private readonly List<StaticRun> runs = [];
    private readonly List<StaticCall> calls = [];
    private readonly List<StaticBlock> planned = [];
    private readonly List<StaticBlock> samples;
    private readonly List<StaticBuffer> buffers;
    // For every section that is planned, by the blocks' numbers: which of those that it touches each is, counted from 1; 0 for what is common or others'.
    private readonly int[][] touched;
    // For every section what stands for the blocks that the section touches which is planned in its place.
    private readonly StaticBlock?[][] own;

    internal StaticLayout(StaticPlan plan, IReadOnlyList<Value> results)
    {
        this.plan = plan;
        this.sections = plan.Network.Sections;
        this.isShort = plan.Network.IsShort;
        var count = this.isShort ? this.sections.All.Count : 0;
        (this.touched, this.own) = (new int[count][], new StaticBlock?[count][]);
        this.Split();
        this.buffers = this.Lifetimes(results);
        this.Group(this.buffers);
        this.Unroll();
        if (this.isShort)
            this.Bind();
        var blocks = this.BlockLifetimes(results);
        this.samples = blocks.FindAll(block => block.Phase == Phase.Sample);
        this.SampleElements = Arrange(this.samples);
        this.samples.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.First.CompareTo(b.First));
        this.SharedElements = Arrange(blocks.FindAll(block => block.Phase == Phase.Shared));
        this.PartialElements = Append(blocks.FindAll(block => block.Phase == Phase.Partial));
        this.Frozen = plan.IsTraining ? this.Prefix() : null;
    }

    /// <summary>The calls, in order.</summary>
    public IReadOnlyList<StaticCall> Calls => this.calls;

    /// <summary>How many blocks are planned, of which sections that are left out have their own.</summary>
    internal int Blocks => this.planned.Count;

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

    /// <summary>What a training step need not compute again; null where its first call is tuned already.</summary>
    public FrozenPrefix? Frozen { get; }

    private FrozenPrefix? Prefix()
    {
        var forward = this.calls.FindAll(call => call.Run.Stage == Stage.Forward);
        var call = forward.FindIndex(call => call.Run.Instructions.Exists(instruction => FrozenPrefix.Ends(instruction.Value)));
        if (call <= 0)
            return null;
        var prefix = forward.GetRange(0, call);
        var before = this.calls.FindAll(other => other.Run.Stage < Stage.Forward).Concat(prefix).Sum(other => other.Run.Instructions.Count);
        return new FrozenPrefix(
            call,
            this.Live(before).SelectMany(block => this.buffers.Where(buffer => buffer.Block == this.planned[block.Index]).Select(buffer => (block.Offset + buffer.Offset, buffer.Elements))).ToEquatableArray(),
            prefix.Sum(other => other.Run.Instructions.Sum(instruction => instruction.Value.Macs)));
    }

    /// <summary>Blocks of images that are written before an instruction and read by it or later.</summary>
    private List<StaticBlock> Live(int instruction) => this.samples.FindAll(block => block.First < instruction && block.Last >= instruction);

    /// <summary>Where a place begins when a section stands in for the one that was planned.</summary>
    public long Offset(StaticPlace place, Section? section) => this.Block(place.Buffer!.Block, section).Offset + place.Buffer.Offset + place.Start;

    /// <summary>The block that a section has in the place of one that was planned.</summary>
    public StaticBlock Block(StaticBlock block, Section? section) => section is null || !this.isShort ? block : this.Own(section, block) ?? block;

    /// <summary>For a sum of what several sections have: the summands with their sections, last section first; null for any other instruction.</summary>
    public IReadOnlyList<(StaticPlace Place, Section? Section)>? Summands(StaticInstruction instruction)
    {
        return instruction.Value is { Op: AddOp, Scope: GraphBuilder.SharedScope + GraphBuilder.GradientSuffix } value ? this.Summands(value, instruction.Inputs) : null;
    }

    private List<(StaticPlace Place, Section? Section)> Summands(Value value, IReadOnlyList<StaticPlace> places)
    {
        var parts = value.Inputs.Select((input, i) => (Section: this.sections.Find(input.Scope), Place: places[i])).ToList();
        var summands = parts.Where(part => part.Section is null).Select(part => (part.Place, (Section?)null)).ToList();
        foreach (var section in this.sections.All.Reverse())
        {
            foreach (var part in parts)
            {
                if (part.Section == this.Planned(section))
                    summands.Add((part.Place, section));
            }
        }
        return summands;
    }

    /// <summary>The section that is planned in another's place.</summary>
    private Section Planned(Section section) => this.isShort ? section.Like : section;

    /// <summary>Runs of the planned instructions, stage after stage.</summary>
    private void Split()
    {
        var (last, isTuned) = (this.plan.Network.Logits.Id, false);
        for (var stage = Stage.Shared; stage <= Stage.Finish; stage++)
        {
            StaticRun? run = null;
            foreach (var instruction in this.plan.Instructions)
            {
                if (StageOf(instruction, last) != stage)
                    continue;
                var scope = instruction.Value.Scope;
                // Where a scope begins to be tuned, a training step may start.
                var begins = this.plan.IsTraining && stage == Stage.Forward && !isTuned && FrozenPrefix.Ends(instruction.Value);
                isTuned |= begins;
                if (run is null || begins || (!ReferenceEquals(run.Scope, scope) && run.Scope != scope))
                    this.runs.Add(run = new StaticRun(stage, scope, this.sections.IsChain ? this.sections.Find(scope) : null));
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
    private List<StaticBuffer> Lifetimes(IReadOnlyList<Value> results)
    {
        var buffers = new List<StaticBuffer>();
        var position = 0;
        foreach (var run in this.runs)
        {
            foreach (var instruction in run.Instructions)
            {
                foreach (var buffer in instruction.Buffers)
                {
                    if (buffer.Touch(position, position))
                        buffers.Add(buffer);
                }
                position++;
            }
        }
        foreach (var result in results)
            this.plan[result].Buffer?.Touch(position, int.MaxValue);
        return buffers;
    }

    /// <summary>
    /// Buffers of a section that repeats are one block where they are written first in one run and read last in another, and those that come
    /// and go within a run share its memory; any other buffer is a block of its own.
    /// </summary>
    private void Group(List<StaticBuffer> buffers)
    {
        var runOf = new List<int>();
        for (var i = 0; i < this.runs.Count; i++)
            runOf.AddRange(Enumerable.Repeat(i, this.runs[i].Instructions.Count));
        var groups = new Dictionary<(int, int, Phase), List<StaticBuffer>>();
        foreach (var buffer in buffers)
        {
            var first = runOf[buffer.First];
            var arena = buffer.Phase == Phase.Finish ? Phase.Shared : buffer.Phase;
            var section = this.runs[first].Section;
            List<StaticBuffer>? group = null;
            if (this.isShort && section is { Like.Times: > 1 })
            {
                var key = (first, buffer.Last == int.MaxValue ? int.MaxValue : runOf[buffer.Last], arena);
                if (!groups.TryGetValue(key, out group))
                    groups.Add(key, group = []);
            }
            group?.Add(buffer);
            if (group is { Count: > 1 })
            {
                buffer.Block = group[0].Block;
                continue;
            }
            this.planned.Add(buffer.Block = new StaticBlock(arena, this.planned.Count, section) { Elements = buffer.Elements });
        }
        foreach (var pair in groups)
        {
            var (first, last, arena) = pair.Key;
            pair.Value[0].Block.Elements = first == last && arena != Phase.Partial ? Arrange(pair.Value) : Append(pair.Value);
        }
        var seen = new int[this.planned.Count];
        foreach (var run in this.runs)
        {
            Array.Clear(seen, 0, seen.Length);
            for (var i = 0; i < run.Instructions.Count; i++)
            {
                foreach (var buffer in run.Instructions[i].Buffers)
                {
                    ref var at = ref seen[buffer.Block.Index];
                    if (at == 0)
                    {
                        run.Blocks.Add((buffer.Block, i, i));
                        at = run.Blocks.Count;
                    }
                    run.Blocks[at - 1] = (buffer.Block, run.Blocks[at - 1].First, i);
                }
            }
        }
    }

    /// <summary>The calls of every section, those left out among them.</summary>
    private void Unroll()
    {
        if (!this.isShort)
        {
            this.calls.AddRange(this.runs.Select(run => new StaticCall(run, run.Section)));
            return;
        }
        foreach (var stage in this.runs.ToLookup(run => run.Stage))
        {
            var bySection = stage.ToLookup(run => run.Section);
            var common = bySection[null].Select(run => new StaticCall(run, null));
            if (stage.Key == Stage.Shared)
                this.calls.AddRange(common);
            foreach (var section in stage.Key is Stage.Shared or Stage.Forward ? this.sections.All : this.sections.All.Reverse())
            {
                foreach (var run in bySection[this.Planned(section)])
                    this.calls.Add(new StaticCall(run, section));
            }
            if (stage.Key != Stage.Shared)
                this.calls.AddRange(common);
        }
    }

    /// <summary>Gives every section blocks of its own, and those of its neighbours that it touches.</summary>
    private void Bind()
    {
        var chain = this.sections.All;
        var kept = this.sections.Short;
        var touch = new List<StaticBlock>?[chain.Count];
        foreach (var section in kept)
            this.touched[section.Index] = new int[this.planned.Count];
        foreach (var run in this.runs)
        {
            if (run.Section is not { } section)
                continue;
            var blocks = touch[section.Index] ??= [];
            foreach (var (block, _, _) in run.Blocks)
            {
                ref var place = ref this.touched[section.Index][block.Index];
                if (block.Owner is null || place > 0)
                    continue;
                blocks.Add(block);
                place = blocks.Count;
            }
        }
        foreach (var section in chain)
        {
            var (planned, blocks) = (this.Planned(section), touch[this.Planned(section).Index] ?? []);
            var own = this.own[section.Index] = new StaticBlock?[blocks.Count];
            for (var i = 0; i < own.Length; i++)
            {
                if (blocks[i].Owner == planned)
                    own[i] = section == planned ? blocks[i] : new StaticBlock(blocks[i].Phase, blocks[i].Index, section) { Elements = blocks[i].Elements };
            }
        }

        // What planned neighbours both touch is, for the neighbours they stand for, one block as well.
        var (before, after) = (new List<StaticBlock>[chain.Count], new List<StaticBlock>[chain.Count]);
        for (var i = 0; i + 1 < kept.Count; i++)
        {
            var (left, right) = (this.touched[kept[i].Index], this.touched[kept[i + 1].Index]);
            before[kept[i + 1].Index] = after[kept[i].Index] = this.planned.FindAll(block => left[block.Index] > 0 && right[block.Index] > 0);
        }
        for (var i = 0; i + 1 < chain.Count; i++)
            this.Hand(chain[i], after[this.Planned(chain[i]).Index], chain[i + 1], before[this.Planned(chain[i + 1]).Index]);
        for (var i = chain.Count - 2; i >= 0; i--)
            this.Hand(chain[i + 1], before[this.Planned(chain[i + 1]).Index], chain[i], after[this.Planned(chain[i]).Index]);
        foreach (var section in chain)
        {
            if (Array.IndexOf(this.own[section.Index], null) >= 0)
                throw new UnrollException($"{section.Scope} touches memory that no neighbour hands to it");
        }
    }

    /// <summary>What a section has in the place of a block that was planned; null for what is not its own or not known yet.</summary>
    private StaticBlock? Own(Section section, StaticBlock block) => this.touched[this.Planned(section).Index][block.Index] is > 0 and var place ? this.own[section.Index][place - 1] : null;

    private void Hand(Section from, List<StaticBlock> sources, Section to, List<StaticBlock> targets)
    {
        for (var i = 0; i < Math.Max(sources.Count, targets.Count); i++)
        {
            if (sources.Count != targets.Count || sources[i].Elements != targets[i].Elements || sources[i].Phase != targets[i].Phase)
                throw new UnrollException($"{from.Scope} and {to.Scope} do not fit");
            this.own[to.Index][this.touched[this.Planned(to).Index][targets[i].Index] - 1] ??= this.Own(from, sources[i]);
        }
    }

    /// <summary>When each block is written first and read last.</summary>
    private List<StaticBlock> BlockLifetimes(IReadOnlyList<Value> results)
    {
        var isResult = new bool[this.planned.Count];
        foreach (var result in results)
        {
            if (this.plan[result].Buffer is { } buffer)
                isResult[buffer.Block.Index] = true;
        }
        var all = new List<StaticBlock>();
        var start = 0;
        foreach (var call in this.calls)
        {
            var run = call.Run;
            foreach (var (block, first, last) in run.Blocks)
                Touch(this.Block(block, call.Section), start + first, isResult[block.Index] ? int.MaxValue : start + last);
            if (run.Section is null && this.isShort)
            {
                foreach (var (place, section) in run.Instructions.SelectMany(instruction => this.Summands(instruction) ?? []))
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
            if (block.Touch(first, last))
                all.Add(block);
        }
    }

    /// <summary>Largest first; where that leaves more than a tenth in gaps, in the order that leaves the fewest.</summary>
    private static long Arrange<T>(List<T> extents)
        where T : StaticExtent
    {
        List<T> bySize = [.. extents.OrderByDescending(extent => extent.Elements).ThenBy(extent => extent.First)];
        var end = Place(bySize);
        if (end <= 1.1 * MostAlive(extents))
            return end;
        IEnumerable<Func<T, long>> orders = [extent => extent.First - extent.Last, extent => (extent.First - extent.Last) * extent.Elements, extent => extent.First, extent => -extent.Last];
        var (best, isPlaced) = (bySize, true);
        foreach (var order in orders)
        {
            List<T> other = [.. bySize.OrderBy(order)];
            var others = Place(other, end);
            isPlaced = others < end;
            if (isPlaced)
                (best, end) = (other, others);
        }
        return isPlaced ? end : Place(best);
    }

    /// <summary>What is alive at the worst moment, which is when something begins.</summary>
    private static long MostAlive<T>(List<T> extents)
        where T : StaticExtent
    {
        var (first, last) = (int.MaxValue, 0);
        foreach (var extent in extents)
            (first, last) = (Math.Min(first, extent.First), Math.Max(last, extent.First));
        var changes = new long[extents.Count == 0 ? 0 : last + 2 - first];
        foreach (var extent in extents)
        {
            changes[extent.First - first] += extent.Elements;
            changes[Math.Min(extent.Last, last) + 1 - first] -= extent.Elements;
        }
        var (most, alive) = (0L, 0L);
        foreach (var change in changes)
        {
            alive += change;
            most = Math.Max(most, alive);
        }
        return most;
    }

    /// <summary>One after the other, each at the lowest place where it is in nobody's way at any time; given up where it takes <paramref name="limit"/> or more.</summary>
    private static long Place<T>(List<T> extents, long limit = long.MaxValue)
        where T : StaticExtent
    {
        // In the order of their offsets; what is looked at again and again lies together.
        var (placed, count) = (new (int First, int Last, long Offset, long End)[extents.Count], 0);
        var end = 0L;
        foreach (var extent in extents)
        {
            var (first, last, elements) = (extent.First, extent.Last, extent.Elements);
            var (offset, at) = (0L, 0);
            for (; at < count; at++)
            {
                ref var other = ref placed[at];
                if (other.First > last || first > other.Last)
                    continue;
                if (offset + elements <= other.Offset)
                    break;
                offset = Math.Max(offset, other.End);
            }
            extent.Offset = offset;
            while (at > 0 && placed[at - 1].Offset > offset)
                at--;
            while (at < count && placed[at].Offset <= offset)
                at++;
            Array.Copy(placed, at, placed, at + 1, count - at);
            placed[at] = (first, last, offset, offset + elements);
            count++;
            end = Math.Max(end, offset + extent.Elements);
            if (end >= limit)
                return end;
        }
        return end;
    }

    /// <summary>One after the other.</summary>
    private static long Append<T>(List<T> extents)
        where T : StaticExtent
    {
        var end = 0L;
        foreach (var extent in extents)
        {
            extent.Offset = end;
            end += extent.Elements;
        }
        return end;
    }
}

/// <summary>A short plan that does not say what the whole one is.</summary>
internal sealed class UnrollException(string message) : Exception(message);
