namespace FusionGen.Compiler.Problems;

/// <summary>Every problem the compiler can report; <c>docs/problems.md</c> shows each with a spec that triggers it.</summary>
public static class ProblemCatalogue
{
    /// <summary>The text is not YAML.</summary>
    public static ProblemKind Syntax { get; } = Error("FG0001", "Not YAML", "The YAML cannot be read from here on: {0}");

    /// <summary>An anchor.</summary>
    public static ProblemKind Anchor { get; } = Error("FG0002", "Anchor", "'&{0}' is an anchor; specs have none. Remove it and write the value out where it is needed.");

    /// <summary>An alias.</summary>
    public static ProblemKind Alias { get; } = Error("FG0003", "Alias", "'*{0}' is an alias; specs have none. Write the value out.");

    /// <summary>A tag.</summary>
    public static ProblemKind Tag { get; } = Error("FG0004", "Tag", "'{0}' is a tag; specs have none. Remove it, the key decides the type.");

    /// <summary>A second document in the file.</summary>
    public static ProblemKind Documents { get; } = Error("FG0005", "More than one document", "A second YAML document starts here; a file holds one. Move it into its own file.");

    /// <summary>A key given twice.</summary>
    public static ProblemKind Duplicate { get; } = Error("FG0006", "Duplicate key", "Key '{0}' is given twice in {1}. Keep one.");

    /// <summary>A key that is a list or map.</summary>
    public static ProblemKind Key { get; } = Error("FG0007", "Key is not a word", "A key must be one word, not {0}. Write 'key: value'.");

    /// <summary>Nested too deeply.</summary>
    public static ProblemKind Depth { get; } = Error("FG0008", "Nested too deeply", "Lists and maps are nested more than {0} deep here; no part of a spec is. Check the brackets and the indentation.");

    /// <summary>Too large.</summary>
    public static ProblemKind Size { get; } = Error("FG0009", "Too large", "The file has {0} characters; the limit is {1}. A spec describes a model in a page; is this the right file?");

    /// <summary>Nothing in the file.</summary>
    public static ProblemKind Empty { get; } = Error("FG0010", "Empty", "The file holds no {0}. Start it with '{1}: 1'.");

    /// <summary>A merge key.</summary>
    public static ProblemKind Merge { get; } = Error("FG0011", "Merge key", "'<<' merges another map; specs have no merging. Write the keys out.");

    /// <summary>More problems than shown.</summary>
    public static ProblemKind More { get; } = new("FG0012", Severity.Info, "More problems", "{0} more problems are not shown. Solve the first ones, then look again.");

    /// <summary>A key the schema does not know.</summary>
    public static ProblemKind UnknownKey { get; } = Error("FG1001", "Unknown key", "'{0}' is no key of {1}.{2} Known: {3}.");

    /// <summary>A key that must be given.</summary>
    public static ProblemKind MissingKey { get; } = Error("FG1002", "Missing key", "{0} needs the key '{1}': {2}");

    /// <summary>A value of the wrong type.</summary>
    public static ProblemKind Type { get; } = Error("FG1003", "Wrong type", "'{0}' must be {1}, not {2}.{3}");

    /// <summary>A number out of range.</summary>
    public static ProblemKind Range { get; } = Error("FG1004", "Out of range", "'{0}' is {1}; it must be {2}.");

    /// <summary>A word that is none of the choices.</summary>
    public static ProblemKind Choice { get; } = Error("FG1005", "Unknown choice", "'{1}' is no {0}.{2} Choose from: {3}.");

    /// <summary>A value that is not written as its type asks.</summary>
    public static ProblemKind Form { get; } = Error("FG1006", "Malformed value", "'{0}' must be {1}; '{2}' is not.{3}");

    /// <summary>A list of the wrong length.</summary>
    public static ProblemKind Length { get; } = Error("FG1007", "Wrong length", "'{0}' has {1} entries; it must have {2}.");

    /// <summary>A spec for another version.</summary>
    public static ProblemKind Version { get; } = Error("FG1008", "Unknown version", "'{0}: {1}' is not known; this compiler reads version 1. Write '{0}: 1'.");

    /// <summary>Not exactly one of some keys.</summary>
    public static ProblemKind OneOf { get; } = Error("FG1009", "Not exactly one", "{0} must have exactly one of the keys {1}; it has {2}.");

    /// <summary>A key that has no meaning beside another.</summary>
    public static ProblemKind Conflict { get; } = Error("FG1010", "Key without meaning", "'{0}' has no meaning here: {1}. Remove it.");

    /// <summary>An override that cannot be applied.</summary>
    public static ProblemKind Override { get; } = Error("FG1011", "Override", "'{0}' cannot be applied: {1}.");

    /// <summary>A patch that does not tile the image.</summary>
    public static ProblemKind PatchGrid { get; } = Error("FG2001", "Patches do not tile the image", "Patches of {1} pixels do not tile an image of {0}; {0} is no multiple of {1}. Use {2}.");

    /// <summary>Heads that do not divide the width.</summary>
    public static ProblemKind HeadWidth { get; } = Error("FG2002", "Heads do not divide the width", "{1} heads cannot share {0} channels equally. Use {2}.");

    /// <summary>A layer that does not exist.</summary>
    public static ProblemKind LayerRange { get; } = Error("FG2003", "No such layer", "Layer {0} does not exist: the backbone has layers 0..{1}. Use those, as in 'at: 0..{1}'.");

    /// <summary>A layer given twice.</summary>
    public static ProblemKind LayerOverlap { get; } = Error("FG2004", "Layer given twice", "{0} given by an entry above already. Let each layer appear once.");

    /// <summary>Layers without an entry.</summary>
    public static ProblemKind LayerMissing { get; } = Error("FG2005", "Layer without entry", "No entry covers {0}. Add '- {{ at: {1}, candidates: [...] }}'; 'candidates: []' leaves a layer alone.");

    /// <summary>A range from a larger to a smaller number.</summary>
    public static ProblemKind RangeOrder { get; } = Error("FG2006", "Empty range", "'{0}' runs backwards. Write '{1}'.");

    /// <summary>Lists per stage of different lengths.</summary>
    public static ProblemKind Stages { get; } = Error("FG2007", "Stages disagree", "'depths' has {0} stages but 'heads' has {1}. Give both one number per stage.");

    /// <summary>A search that cannot move.</summary>
    public static ProblemKind Warmup { get; } = Error("FG2008", "Warm-up takes every epoch", "'{0}.warmup' is {1} of {2} epochs, so {3}. Set it below {2}.");

    /// <summary>An operator whose sizes do not fit the backbone.</summary>
    public static ProblemKind OperatorShape { get; } = Error("FG2009", "Operator does not fit", "Operator '{0}' does not fit the backbone: {1}");

    /// <summary>A backbone whose sizes do not fit together.</summary>
    public static ProblemKind BackboneShape { get; } = Error("FG2010", "Backbone does not fit together", "Backbone '{0}' does not fit together: {1}");

    /// <summary>Several operators, or none, where one is always on.</summary>
    public static ProblemKind OneOperator { get; } = Error("FG2011", "One operator only", "At '{0}' one operator is always on, there is nothing to choose: name one, not {1}.");

    /// <summary>An operator where it has no site.</summary>
    public static ProblemKind OperatorPlace { get; } = Error("FG2012", "Operator has no site here", "Operator '{0}' does not act at {1}. Kinds that do: {2}.");

    /// <summary>More tuned parameters than allowed; arguments: actual, limit, detail.</summary>
    public static ProblemKind TunedBudget { get; } = Error("FG2100", "Tuned budget exceeded", "The model tunes {0} of its parameters; the budget is {1}. {2}");

    /// <summary>More memory than allowed; arguments: actual, limit, detail.</summary>
    public static ProblemKind MemoryBudget { get; } = Error("FG2101", "Memory budget exceeded", "A training step needs {0}; the budget is {1}. {2}");

    /// <summary>A search space in which only some policies fit; arguments: actual, limit, detail.</summary>
    public static ProblemKind PolicyBudget { get; } = Warning("FG2102", "Some policies exceed the budget", "The largest policy takes {0}; the budget is {1}, so the search may find one that does not build. {2}");

    /// <summary>A model name that is no C# name.</summary>
    public static ProblemKind ModelName { get; } = Error("FG3001", "Model name", "'{0}' cannot name generated types: a model's name starts with a capital and holds letters, digits and '_' only.{1}");

    /// <summary>A namespace that is no C# namespace.</summary>
    public static ProblemKind NamespaceName { get; } = Error("FG3002", "Namespace", "'{0}' is no C# namespace: words joined by dots, none of them a keyword.{1}");

    /// <summary>An operator name that is no word.</summary>
    public static ProblemKind OperatorName { get; } = Error("FG3003", "Operator name", "'{0}' cannot name an operator: use lower-case letters, digits and '-', starting with a letter.{1}");

    /// <summary>A candidate that is no operator of the spec.</summary>
    public static ProblemKind UnknownOperator { get; } = Error("FG3004", "Unknown operator", "'{0}' is no operator of this spec.{1} Declared: {2}.");

    /// <summary>A candidate named twice.</summary>
    public static ProblemKind RepeatedCandidate { get; } = Error("FG3005", "Repeated candidate", "'{0}' is a candidate here already. Name it once; two equal candidates would share one weight.");

    /// <summary>Two operators with one C# name.</summary>
    public static ProblemKind OperatorClash { get; } = Error("FG3006", "Operators share a C# name", "Operators '{0}' and '{1}' would both be '{2}' in C#. Rename one.");

    /// <summary>An operator that no layer uses.</summary>
    public static ProblemKind UnusedOperator { get; } = Warning("FG3007", "Unused operator", "No layer has '{0}' among its candidates. Use it or remove it.");

    /// <summary>Two specs with one model.</summary>
    public static ProblemKind DuplicateModel { get; } = Error("FG3008", "Model given twice", "Model '{0}' is given by more than one spec of this project: {1}. Rename all but one; none of them is generated.");

    /// <summary>A policy of another model.</summary>
    public static ProblemKind PolicyModel { get; } = Error("FG4001", "Policy of another model", "The policy is for model '{0}', the spec beside it is for '{1}'. Rename the policy file or search again.");

    /// <summary>A policy with the wrong number of layers.</summary>
    public static ProblemKind PolicyLength { get; } = Error("FG4002", "Policy of another depth", "The policy chooses for {0} layers, the spec has {1}. Search again.");

    /// <summary>A choice that is no candidate.</summary>
    public static ProblemKind PolicyChoice { get; } = Error("FG4003", "Choice is no candidate", "'{0}' is no candidate of layer {1}.{2} {3}");

    /// <summary>A policy found under another spec.</summary>
    public static ProblemKind PolicyStale { get; } = Warning("FG4004", "Policy of an earlier spec", "The policy was found under another version of the spec ({0}, now {1}). Search again, or set 'spec: {2}' to keep it.");

    /// <summary>A policy without a spec.</summary>
    public static ProblemKind PolicyOrphan { get; } = Warning("FG4005", "Policy without spec", "There is no '{0}' beside this policy, so nothing is generated from it. Rename or remove the policy.");

    /// <summary>A spec file whose name does not end as specs' names end.</summary>
    public static ProblemKind FileName { get; } = Warning("FG4006", "File is neither spec nor policy", "'{0}' is in the folder of specs but is not read. Name specs 'x.fusion.yaml' and policies 'x.policy.yaml'.");

    /// <summary>A fault of the compiler.</summary>
    public static ProblemKind Internal { get; } = Error("FG9001", "Internal error", "The compiler failed on this file: {0}. This is a fault of FusionGen; please report it with the file.");

    /// <summary>All, by id.</summary>
    public static IReadOnlyList<ProblemKind> All { get; } =
    [
        Syntax, Anchor, Alias, Tag, Documents, Duplicate, Key, Depth, Size, Empty, Merge, More,
        UnknownKey, MissingKey, Type, Range, Choice, Form, Length, Version, OneOf, Conflict, Override,
        PatchGrid, HeadWidth, LayerRange, LayerOverlap, LayerMissing, RangeOrder, Stages, Warmup, OperatorShape, BackboneShape, OneOperator, OperatorPlace,
        TunedBudget, MemoryBudget, PolicyBudget,
        ModelName, NamespaceName, OperatorName, UnknownOperator, RepeatedCandidate, OperatorClash, UnusedOperator, DuplicateModel,
        PolicyModel, PolicyLength, PolicyChoice, PolicyStale, PolicyOrphan, FileName,
        Internal,
    ];

    /// <summary>Where a problem is explained, relative to the root of the repository and of the package.</summary>
    public static string HelpLink(ProblemKind kind) => $"docs/problems.md#{kind.Id.ToLowerInvariant()}";

    private static ProblemKind Error(string id, string title, string format) => new(id, Severity.Error, title, format);

    private static ProblemKind Warning(string id, string title, string format) => new(id, Severity.Warning, title, format);
}
