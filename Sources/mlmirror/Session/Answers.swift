import Glibc

/// Who can be asked something, and what they answer.
struct Answers: Sendable {
    /// A line; nil when there is no more.
    var read: (@Sendable () -> String?)?

    static let nobody = Answers(read: nil)
    static var standardInput: Answers { isatty(STDIN_FILENO) == 1 ? Answers(read: { readLine() }) : .nobody }
}

extension Session {
    var canAsk: Bool { console.showsBars && answers.read != nil }

    /// Asks on a terminal; only a yes is one.
    ///
    /// - Parameter what: that is to be confirmed, for the error.
    /// - Throws: `ConfigurationError`, a matter of usage, when there is no terminal to ask.
    func isConfirmed(_ question: String, _ what: String) throws -> Bool {
        guard console.showsBars, let read = answers.read else {
            throw ConfigurationError(nil, "there is no terminal to ask; confirm \(what) with --yes", isMissingFlag: true)
        }
        console.message("\(question) Type yes to go on:")
        return read() == "yes"
    }
}

/// A command came to nothing, for a reason that its own arguments or its user gave.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    var status: ExitStatus
    init(_ description: String, _ status: ExitStatus = .failed) {
        self.description = description
        self.status = status
    }
}
