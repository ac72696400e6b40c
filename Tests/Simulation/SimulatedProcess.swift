import Replication
import TestSupport

/// The daemon's process is no more: nothing that is left of it does anything.
struct Died: Error {}

/// One life of the daemon: all it does to stores and state file goes through here, until it dies.
final class SimulatedProcess: FakeStore.Passage, SimulatedDisk, Sendable {
    private struct State {
        var isAlive = true
        var task: Task<Void, Never>?
    }
    private let scheduler: Scheduler
    private let fates: any Fates
    private let secondary: String
    private let state = Locked(State())

    /// - Parameter secondary: the secondary's name.
    init(_ scheduler: Scheduler, _ fates: any Fates, secondary: String) {
        self.scheduler = scheduler
        self.fates = fates
        self.secondary = secondary
    }

    func set(_ task: Task<Void, Never>) { state.withLock { $0.task = task } }
    var isAlive: Bool { state.withLock { $0.isAlive } }

    func die() {
        let task = state.withLock { state in
            state.isAlive = false
            return state.task
        }
        task?.cancel()
    }

    private func requireLife() throws { if !isAlive { throw Died() } }

    // MARK: Calls

    func request(_ operation: FakeStore.Operation, at store: String) async throws -> @Sendable () async throws -> Void {
        let step = Step(place: store == secondary ? .secondary : .primary, name: operation.name, isWrite: operation.isWrite)
        try await travel()
        let fate = fates.fate(of: step)
        if fate == .diesBefore {
            die()
            throw Died()
        }
        if fate == .landsLate || fate == .diesAndLands {
            let lost: any Error = StoreError(.retry(after: nil), .unreachable, isInDoubt: true, "the answer was lost")
            if fate == .diesAndLands { die() }
            let (scheduler, pause) = (scheduler, Int64(scheduler.chance.below(9000)))
            throw FakeStore.Late(fate == .diesAndLands ? Died() : lost) { try? await scheduler.sleep(milliseconds: pause) }
        }
        if let error = fate?.error { throw error }
        return { [self] in
            if fate == .diesAfter { die() }
            try await travel()
            if fate == .answerLost { throw StoreError(.retry(after: nil), .unreachable, isInDoubt: true, "the answer was lost") }
        }
    }

    private func travel() async throws {
        try requireLife()
        let pause = scheduler.chance.below(4)
        if pause == 0 { await Task.yield() } else { try await scheduler.sleep(milliseconds: Int64(pause * pause)) }
        try requireLife()
    }

    // MARK: Transactions

    func willCommit(_ what: String) throws {
        try requireLife()
        switch fates.fate(of: Step(place: .state, name: what, isWrite: true)) {
        case .refused: throw StateError(.full, "no space left")
        case .diesBefore:
            die()
            throw Died()
        case .diesAfter: die()
        default: break
        }
    }

    func hasCommitted(_ what: String) throws { try requireLife() }
}
