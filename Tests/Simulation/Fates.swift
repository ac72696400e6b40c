import Replication
import TestSupport

/// One thing that a daemon does to the world: a call to a store, or a transaction of its state file.
public struct Step: Sendable, Hashable {
    public enum Place: String, Sendable, CaseIterable {
        case primary, secondary, state
    }
    public var place: Place
    /// A function of a store, or what a transaction is for.
    public var name: String
    public var isWrite: Bool

    /// Everything that a daemon does in a simulation.
    static let all: [Step] =
        [
            "createExperiment", "createLoggedModel", "createRegisteredModel", "createRun", "createVersion", "deleteAlias",
            "deleteExperiment", "deleteExperimentTag", "deleteLoggedModelTag", "deleteModelTag", "deleteRun", "deleteRunTag",
            "deleteVersion",
            "deleteVersionTag", "logBatch", "logInputs", "logLoggedModelMetrics", "logOutputs", "renameExperiment", "restoreExperiment",
            "restoreRun", "setAlias", "setExperimentTag", "setLoggedModelStatus", "setLoggedModelTags", "setModelDescription",
            "setModelTag",
            "setStage", "setVersionDescription", "setVersionTag", "updateRun", "writeArtifact",
        ].map { Step(place: .secondary, name: $0, isWrite: true) }
        + [
            "artifacts", "experiment", "experimentNamed", "experiments", "history", "identity", "loggedModel", "loggedModels",
            "loggedModelsTagged", "readArtifact", "registeredModel", "registeredModels", "run", "runs", "versions",
        ].map { Step(place: .secondary, name: $0, isWrite: false) }
        + [
            "artifacts", "experiment", "experiments", "histories", "history", "historyFromPlace", "historySince", "identity", "loggedModel",
            "loggedModels", "readArtifact", "registeredModel", "registeredModels", "run", "runs", "uncopied", "uncopiedModels", "version",
            "versions", "wholeRun",
        ].map { Step(place: .primary, name: $0, isWrite: false) }
        + [
            "acknowledge", "adopt", "adopted", "append", "bind", "brake", "clear", "control", "created", "file", "files", "intent", "marks",
            "reconcile", "reconciled", "requeue", "scope",
        ].map { Step(place: .state, name: $0, isWrite: true) }
}

/// What becomes of a step.
public enum Fate: String, Sendable, CaseIterable {
    /// Not sent: the store cannot be reached; a transaction finds the disk full.
    case refused
    /// Done, the answer lost. Not of a transaction.
    case answerLost = "answer lost"
    /// Refused by the store: too many requests. Not of a transaction.
    case throttled
    /// Refused by the store: its own failure. Not of a transaction.
    case failed
    /// The daemon dies before it is done.
    case diesBefore = "dies before"
    /// It is done, and the daemon dies before it knows.
    case diesAfter = "dies after"
    /// The answer is lost at once, and it is done some seconds later. Of what must not be done twice.
    case landsLate = "lands late"
    /// The daemon dies, and it is done some seconds later.
    case diesAndLands = "dies, lands"

    public func befalls(_ step: Step) -> Bool {
        switch self {
        case .refused, .diesBefore, .diesAfter: true
        case .answerLost, .throttled, .failed: step.place != .state
        case .landsLate, .diesAndLands:
            step.place == .secondary && ["createExperiment", "createRun", "createLoggedModel", "createVersion"].contains(step.name)
        }
    }
    var isDeath: Bool { [.diesBefore, .diesAfter, .diesAndLands].contains(self) }

    var error: StoreError? {
        switch self {
        case .refused: StoreError(.retry(after: nil), .unreachable, "the store is not there")
        case .throttled: StoreError(.retry(after: 2), .throttled, "too many requests")
        case .failed: StoreError(.retry(after: nil), .serverFailure, isInDoubt: true, "internal error")
        default: nil
        }
    }
}

/// Decides what becomes of each step. Nil: nothing in particular.
public protocol Fates: Sendable {
    func fate(of step: Step) -> Fate?
}

/// Nothing ever happens.
public struct NoFates: Fates {
    public init() {}
    public func fate(of step: Step) -> Fate? { nil }
}

/// One effect has this fate: a write of the secondary, or a transaction of the state file. Where it lasts, so has every step of that place
/// from there on.
public final class OneFate: Fates {
    private let fate: Fate?
    private let nth: Int
    private let lasts: @Sendable () -> Bool
    private let state = Locked((effects: [Step](), place: Step.Place?.none))

    /// - Parameters:
    ///   - fate: nil: nothing happens, and the effects are counted.
    ///   - lasts: whether it still does.
    init(_ fate: Fate?, nth: Int, lasts: @escaping @Sendable () -> Bool = { false }) {
        self.fate = fate
        self.nth = nth
        self.lasts = lasts
    }

    /// All that there were.
    var effects: [Step] { state.withLock { $0.effects } }

    public func fate(of step: Step) -> Fate? {
        let (isIt, place) = state.withLock { state in
            guard step.isWrite else { return (false, state.place) }
            state.effects.append(step)
            let isIt = state.effects.count - 1 == nth
            if isIt { state.place = step.place }
            return (isIt, state.place)
        }
        guard let fate, fate.befalls(step) else { return nil }
        if isIt { return fate }
        return place == step.place && lasts() ? fate : nil
    }
}

/// Drawn from a seed: mostly quiet, with bad spells.
public final class RandomFates: Fates {
    private struct State {
        var chance: Chance
        var isHealed = false
        var spell: (fate: Fate, place: Step.Place, rest: Int)?
        var deaths = 0
    }
    private let state: Locked<State>
    private let rarity: Int
    /// One step that things befall often, however rare it is.
    let focus: Step?
    private let reach: Reach

    init(seed: UInt64, reach: Reach) {
        var chance = Chance(seed: seed ^ 0xfa7e)
        // Some simulations are nearly quiet: there an interleaving alone has to go wrong.
        rarity = [12, 25, 60, 400][chance.below(4)]
        focus = chance.pick(chance.oneIn(3) ? Step.all : Step.all.filter { Users.favourite[$0.name] != nil })
        state = Locked(State(chance: chance))
        self.reach = reach
    }

    func heal() { state.withLock { $0.isHealed = true } }

    public func fate(of step: Step) -> Fate? {
        let fate = state.withLock { draw(step, &$0) }
        reach.note(step, fate)
        return fate
    }

    private func draw(_ step: Step, _ state: inout State) -> Fate? {
        guard !state.isHealed else { return nil }
        if let spell = state.spell, spell.rest > 0, spell.place == step.place, spell.fate.befalls(step) {
            state.spell?.rest -= 1
            return spell.fate
        }
        guard state.chance.oneIn(step == focus ? 2 : rarity), let fate = state.chance.pick(Fate.allCases.filter { $0.befalls(step) }) else {
            return nil
        }
        if fate.isDeath {
            guard state.deaths < 6 else { return nil }
            state.deaths += 1
        } else if state.chance.oneIn(8) {
            state.spell = (fate, step.place, state.chance.below(12))
        }
        return fate
    }
}

/// Which steps have met which fates, over all simulations of a run.
public final class Reach: Sendable {
    private let counts = Locked<[Step: [Fate?: Int]]>([:])
    public init() {}

    func note(_ step: Step, _ fate: Fate?) { counts.withLock { $0[step, default: [:]][fate, default: 0] += 1 } }

    public func add(_ other: Reach) {
        let more = other.counts.withLock { $0 }
        counts.withLock { $0.merge(more) { $0.merging($1, uniquingKeysWith: +) } }
    }

    /// What could have befallen a step, and did not.
    public var gaps: [(step: Step, fate: Fate)] {
        let counts = counts.withLock { $0 }
        return Set(counts.keys).union(Step.all).sorted { Self.name($0) < Self.name($1) }.flatMap { step in
            Fate.allCases.filter { $0.befalls(step) && counts[step]?[$0] == nil }.map { (step, $0) }
        }
    }

    /// A line for each step, a column for each fate.
    public var table: String {
        var lines = [Self.row("step", ["quiet"] + Fate.allCases.map(\.rawValue))]
        for (step, fates) in counts.withLock({ $0 }).sorted(by: { Self.name($0.key) < Self.name($1.key) }) {
            let cells = [fates[nil].map(String.init) ?? ""] + Fate.allCases.map { $0.befalls(step) ? String(fates[$0] ?? 0) : "-" }
            lines.append(Self.row(Self.name(step), cells))
        }
        return lines.joined(separator: "\n")
    }

    private static func name(_ step: Step) -> String { "\(step.place.rawValue) \(step.name)" }
    private static func row(_ name: String, _ cells: [String]) -> String {
        func pad(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        return name + String(repeating: " ", count: max(1, 36 - name.count)) + cells.map { pad($0, 12) }.joined()
    }
}
