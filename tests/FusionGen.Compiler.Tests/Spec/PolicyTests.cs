using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class PolicyTests
{
    [Test]
    public void What_the_writer_writes_the_reader_reads()
    {
        var policy = new PolicyDocument("Tiny", "00ff", EquatableArray.Of("add", "", "null", "cross-attention", "true"));
        var result = PolicyReader.Read(PolicyWriter.Write(policy));
        Assert.That(result.Problems, Is.Empty);
        Assert.That(result.Document, Is.EqualTo(policy));
    }

    [Test]
    public void A_policy_found_under_the_spec_fits_it()
    {
        var policy = new PolicyDocument("Tiny", SpecHash.Of(CorpusCase.Base), EquatableArray.Of("add", "affine", "affine", "add"));
        Assert.That(PolicyBinder.Check(CorpusCase.Base, policy), Is.Empty);
    }

    [Test]
    public void Layers_without_candidates_take_no_choice()
    {
        var spec = SpecReader.Read(Samples.Sprites).Document!;
        var names = Enumerable.Repeat("add", 10).Concat(["", ""]).ToArray();
        Assert.That(PolicyBinder.Check(spec, new PolicyDocument("Sprites", SpecHash.Of(spec), EquatableArray.Of(names))), Is.Empty);
        names[11] = "add";
        var problem = PolicyBinder.Check(spec, new PolicyDocument("Sprites", SpecHash.Of(spec), EquatableArray.Of(names))).Single();
        Assert.That((problem.Kind.Id, problem.Node), Is.EqualTo(("FG4003", "layers[11]")));
        Assert.That(problem.Message, Does.Contain("write '~'"));
    }
}
