/// What is done with what still changes on the primary after it was switched to `azureml-only`.
public enum StragglerRule: String, Sendable, Hashable, CaseIterable {
    /// It is added to the secondary, where it overwrites nothing of anybody's, and named.
    case carry
    /// It is only named.
    case report
}

/// The modes that are obeyed now, and what was begun under earlier ones.
struct ModesNow: Sendable {
    private(set) var ledger = ModeLedger()
    /// Grows whenever other names are sealed.
    private(set) var version = 0
    private var begun: [Int: Int] = [:]

    mutating func set(_ new: ModeLedger) {
        if new.sealedScopes != ledger.sealedScopes { version += 1 }
        ledger = new
    }

    /// - Returns: the version under which it works, for `ended`.
    mutating func began() -> Int {
        begun[version, default: 0] += 1
        return version
    }

    mutating func ended(_ version: Int) {
        begun[version, default: 0] -= 1
        if begun[version] == 0 { begun[version] = nil }
    }

    /// Nothing is under way that was begun before these names were sealed.
    var isObeyed: Bool { begun.keys.allSatisfy { $0 == version } }
}

extension Mirror {
    /// Tells of each seal that has ended.
    func obeyModes() throws {
        let ledger = try state.modes
        let before = modes.withLock { modes in
            defer { modes.set(ledger) }
            return modes.ledger.sealedScopes
        }
        for scope in before where !ledger.sealedScopes.contains(scope) {
            logger.event(.modeStep, ["step": Mode.dual.rawValue, "names": scope.text])
        }
    }

    /// Whether the secondary is the system of record for it: then nothing there is written over.
    func isSealed(_ id: ExperimentID) async throws -> Bool {
        let ledger = modes.withLock { $0.ledger }
        guard ledger.hasSeals, ledger.mode == .dual else { return ledger.hasSeals }
        guard let name = try await experimentName(id) else { return true }
        return try await seal(of: id, named: name) != nil
    }

    /// Retired once, and restored on the primary since: the tag that says the first is still there.
    static var returnedField: Base.Field { Base.Field("returned") }

    /// We have deleted it on the primary ourselves: its copy stays.
    func isRetired(_ run: Run) throws -> Bool {
        let isMarked = run.tags.contains { $0.key == Stamp.retiredKey }
        guard isMarked || run.lifecycle == .deleted else { return false }
        if try state.isRetired(.run(run.id)) { return true }
        return try isMarked && state.identity(.run, run.id.rawValue)?.base?[Self.returnedField] == nil
    }

    func isSealed(_ subject: RuleSubject) async throws -> Bool {
        let ledger = modes.withLock { $0.ledger }
        return switch subject {
        case .experiment(let id): try await isSealed(id)
        case .experimentNamed(let id, let name): try await seal(of: id, named: name) != nil
        case .model(let name): ledger.mode(ofModelNamed: name) == .azureMLOnly
        // Of what is gone nobody knows the name: it may have been one of those.
        case .nameless: ledger.hasSeals
        }
    }

    /// Costs a read of the primary where only some experiments are sealed.
    private func isSealed(_ key: EntityKey) async throws -> Bool {
        guard modes.withLock({ $0.ledger.hasSeals }) else { return false }
        switch key.kind {
        case .experiment, .experimentDeletion: return try await isSealed(ExperimentID(key.id))
        case .run, .runArtifacts: return try await readRun(RunID(key.id)).asyncMap { try await isSealed($0.experiment) } ?? false
        case .loggedModel, .loggedModelArtifacts:
            return try await primary.loggedModel(LoggedModelID(key.id)).asyncMap { try await isSealed($0.experiment) } ?? false
        case .registeredModel: return try await isSealed(.model(ModelName(key.id)))
        }
    }

    /// What is only to be named is, and is done with: nothing is noted of its content, so that it is looked at when `dual` comes back.
    ///
    /// - Returns: whether that was all.
    func onlyReports(_ entry: ChangeLogEntry) async throws -> Bool {
        guard configuration.stragglers == .report, try await isSealed(entry.key) else { return false }
        let record = entry.key.kind == .run ? try await readRun(RunID(entry.key.id)) : nil
        let known = try state.identity(entry.key.kind, entry.key.id)
        // Looked at once more, and as it was.
        let isUnchanged = record.map { known?.record == $0.recordDigest } ?? (entry.extent != .whole)
        let isOurDeletion = try record.map { try $0.lifecycle == .deleted && isRetired($0) } ?? false
        if !isOurDeletion, !isUnchanged || entry.extent == .points { try note(straggler: entry.key, record?.tags ?? [], isCarried: false) }
        // What shows in no record is found by a whole look alone.
        if try state.control(.onlyReported) == nil { try state.setControl(.onlyReported, "1") }
        try acknowledge(Acknowledgement(entry: entry, isPartial: true))
        return true
    }

    /// Who still writes to the primary is named, so that somebody can mend it: once in the journal, and counted.
    func note(straggler key: EntityKey, _ tags: [Tag], isCarried: Bool) throws {
        guard try state.note(straggler: key, at: clock.nowMilliseconds) else { return }
        func value(_ name: String) -> String { tags.first { $0.key == name }?.value ?? "" }
        logger.event(
            .straggler,
            [
                "entity": "\(key)", "user": value("mlflow.user"), "source": value("mlflow.source.name"),
                "decision": (isCarried ? StragglerRule.carry : .report).rawValue,
            ])
    }
}

extension Optional {
    fileprivate func asyncMap<R>(_ transform: (Wrapped) async throws -> R) async rethrows -> R? {
        guard let self else { return nil }
        return try await transform(self)
    }
}
