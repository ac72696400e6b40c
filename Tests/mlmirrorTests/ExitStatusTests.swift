import Glibc
import Replication
import Testing

@testable import mlmirror

@Suite("exit codes")
struct ExitStatusTests {
    @Test(
        "of a store's refusal",
        arguments: [
            (StoreError.Reason.unreachable, 69), (.throttled, 69), (.serverFailure, 69), (.notMLflow, 69), (.unauthorized, 77),
            (.forbidden, 77),
            (.notFound, 1), (.alreadyExists, 1), (.invalid, 1), (.tooLarge, 1), (.malformed, 1), (.unsupported, 69), (.truncated, 1),
        ] as [(StoreError.Reason, Int32)])
    func store(_ reason: StoreError.Reason, _ code: Int32) {
        #expect(Status.of(StoreError(.stop, reason, "no")).rawValue == code)
    }

    @Test(
        "of the state file",
        arguments: [
            (StateError.Kind.locked, 75), (.fenced, 75), (.newerSchema, 78), (.foreign, 78), (.otherPair, 78), (.unwritable, 78),
            (.damaged, 1),
            (.full, 1),
        ] as [(StateError.Kind, Int32)])
    func state(_ kind: StateError.Kind, _ code: Int32) { #expect(Status.of(StateError(kind, "no")).rawValue == code) }

    @Test("of the configuration: a flag is usage, everything else is configuration")
    func configuration() {
        #expect(Status.of(MirrorError(.sameStore, "no")) == .configuration)
        #expect(Status.of(MirrorError(.configuration, "no")) == .configuration)
        #expect(Status.of(ConfigurationError(.flag("--primary"), "no")) == .usage)
        #expect(Status.of(ConfigurationError(.environment("MLMIRROR_PRIMARY"), "no")) == .configuration)
        #expect(Status.of(ConfigurationError(.file(Place(file: "f", line: 1, column: 1)), "no")) == .configuration)
    }

    @Test("of an interruption, whatever else failed because of it")
    func interrupted() {
        #expect(Program.failure(CancellationError(), SIGHUP).status.rawValue == 129)
        #expect(Program.failure(CancellationError(), SIGINT).status.rawValue == 130)
        #expect(Program.failure(CancellationError(), SIGTERM).status.rawValue == 143)
        #expect(Program.failure(StoreError(.stop, .unreachable, "cut"), SIGTERM).status.rawValue == 143)
        #expect(Program.failure(CancellationError(), nil).status == .failed)
    }
}
