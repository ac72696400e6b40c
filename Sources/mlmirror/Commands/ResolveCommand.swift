import ArgumentParser
import Replication

struct ResolveCommand: SessionCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve",
        abstract: "An id of one side to the other's, and where the thing stands.",
        discussion: """
            Examples:
              mlmirror resolve --config mlmirror.yaml 3f2a8c0d9e...
              mlmirror resolve --state mirror.db http://a:5000/#/experiments/1/runs/3f2a...

            Takes an id or an address of either side. Exit code 1 when nobody knows it.
            """
    )

    @OptionGroup var stateOptions: StateOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    @Argument(help: "An id, a model's name, or an address that ends with one.")
    var id: String

    func execute(in session: Session) async throws -> Outcome {
        let found = try await session.visitingState(try stateOptions.path(session)) { state in
            try Self.candidates(id).flatMap { try state.whereabouts(of: $0) }
        }
        guard !found.isEmpty else { throw CommandFailure("\(id): known on neither side; ids are as the servers give them") }
        if output.json {
            session.console.result(try JSONLine.encode(ResolveDocument(found: found.map(ResolveDocument.Thing.init))) + "\n")
        } else {
            session.console.result(found.map { Self.text($0) + "\n" }.joined())
        }
        return .ok
    }

    /// The text itself, and the last parts of an address.
    private static func candidates(_ text: String) -> [String] {
        guard text.contains("/") else { return [text] }
        let parts = text.split { "/?#".contains($0) }.map(String.init)
        return [text] + parts.suffix(2).reversed()
    }

    private static func text(_ thing: Whereabouts) -> String {
        let where_ =
            switch thing.standing {
            case .copied: "as it was when it was last copied"
            case .waiting: "waits in the change log"
            case .created: "made on the secondary, not finished yet"
            case .setAside(let why): "set aside: \(why)"
            case .discarded(let why): "left out by decision: \(why)"
            }
        return "\(thing.kind.rawValue)  primary \(thing.primaryID)  secondary \(thing.secondaryID)  \(where_)".printable
    }
}

struct ResolveDocument: Encodable {
    struct Thing: Encodable {
        var kind: String
        var primary: String
        var secondary: String
        var standing: String
        var reason: String?
        init(_ thing: Whereabouts) {
            kind = thing.kind.rawValue
            primary = thing.primaryID
            secondary = thing.secondaryID
            switch thing.standing {
            case .copied: standing = "copied"
            case .waiting: standing = "waiting"
            case .created: standing = "created"
            case .setAside(let why):
                standing = "set_aside"
                reason = why
            case .discarded(let why):
                standing = "discarded"
                reason = why
            }
        }
    }
    var messageType = "resolve"
    var found: [Thing]
}
