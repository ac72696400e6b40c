import ArgumentParser
import Replication

/// What a command is about, by name.
struct NameOptions: ParsableArguments {
    @Option(name: .customLong("experiment"), help: ArgumentHelp("Experiments by name; repeatable.", valueName: "pattern"))
    var experiments: [String] = []
    @Option(name: .customLong("model"), help: ArgumentHelp("Registered models by name; repeatable.", valueName: "pattern"))
    var models: [String] = []

    var scope: NameScope { NameScope(experiments: experiments, models: models) }

    func check() throws {
        if (experiments + models).contains(where: PatternList.isBlank) { throw ValidationError("a pattern may not be empty") }
    }
}
