import ArgumentParser

/// How a command ended; the message says why, where the status is not `ok`.
struct Outcome: Sendable, Hashable {
    var status: ExitStatus
    var message: String
    init(_ status: ExitStatus, _ message: String = "") {
        self.status = status
        self.message = message
    }
    static let ok = Outcome(.ok)
}

/// A command that does something, with the world handed to it.
protocol SessionCommand: ParsableCommand {
    var output: OutputOptions { get }
    /// Prints its result, and throws what keeps it from one.
    func execute(in session: Session) async throws -> Outcome
}

/// A command that works on a primary and a secondary.
protocol MirrorCommand: SessionCommand {
    var common: CommonOptions { get }
}

extension MirrorCommand {
    var output: OutputOptions { common.output }
}
