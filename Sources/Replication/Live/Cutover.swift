/// Leads what people have switched to `azureml-only` there, step by step. Each step is in the state file: a process that dies in one is
/// continued by the next.
struct Cutover<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let desk: LiveDesk
    /// Seconds between two looks.
    let pause: Double

    /// A model brings its run, that its files.
    private static var drains: Int { 3 }
    /// Comparisons after which what differs is left to people.
    private static var comparisons: Int { 3 }
    /// Seconds until both sides are compared once more, in case people have mended what differs.
    private static var patience: Double { 600 }
    /// Differences that are kept by name.
    private static var examples: Int { 10 }

    private var state: ReplicationState { mirror.state }

    /// What this process knows of the switches under way.
    private struct Notes {
        /// How often the feed had answered when the fence was asked for, by the switch's `askedAt`.
        var answers: [Int64: Int] = [:]
        /// Monotonic seconds before which there is no further comparison.
        var restsUntil: [Int64: Double] = [:]
    }

    func run() async throws {
        var notes = Notes()
        var hasMarked = false
        var unmarking = (attempts: 0, next: 0.0)
        while true {
            if !hasMarked { hasMarked = try await markAgain() }
            if mirror.clock.monotonicSeconds >= unmarking.next {
                unmarking.attempts = try await takeOffEndedMarks(before: unmarking.attempts)
                let pause = unmarking.attempts == 0 ? 0 : Backoff(first: 5, most: 300).pause(attempt: unmarking.attempts)
                unmarking.next = mirror.clock.monotonicSeconds + pause
            }
            for one in try state.modes.switches where one.step != .sealed {
                do { try await advance(one, &notes) } catch let error as StoreError {
                    try wait(one, for: "\(error)")
                    notes.restsUntil[one.askedAt] = mirror.clock.monotonicSeconds + 5
                }
            }
            try await mirror.clock.sleep(seconds: pause)
        }
    }

    /// What was sealed by another state file, or before there were marks.
    ///
    /// - Returns: whether all are there.
    private func markAgain() async throws -> Bool {
        do {
            for one in try state.modes.switches where one.step == .sealed { try await mirror.markSealed(by: one.scope) }
            return true
        } catch is StoreError {
            // The store is away, and comes back.
            try await mirror.clock.sleep(seconds: 5)
            return false
        }
    }

    /// - Returns: how often it has failed in a row: the store is away, and comes back.
    private func takeOffEndedMarks(before: Int) async throws -> Int {
        do {
            try await mirror.takeOffEndedMarks()
            return 0
        } catch let error as StoreError {
            if before == 0 { mirror.logger.event(.sealMarksStay, ["detail": "\(error)"]) }
            return before + 1
        }
    }

    private func advance(_ one: ModeSwitch, _ notes: inout Notes) async throws {
        switch one.step {
        case .fence: try fence(one, &notes)
        case .drain: try drain(one)
        case .verify: try await verify(one, &notes)
        case .seal: try await seal(one)
        case .sealed: break
        }
    }

    /// One answer of the feed may have been under way when the fence was asked for; the second was not.
    private func fence(_ one: ModeSwitch, _ notes: inout Notes) throws {
        let before = notes.answers[one.askedAt] ?? desk.feedAnswers
        notes.answers[one.askedAt] = before
        guard desk.feedAnswers >= before + 2 else { return try wait(one, for: "the feed") }
        try go(one, to: .drain, asking: "switching \(one.scope.text) to azureml-only") { one, head in one.cutover = head.rawValue }
        desk.reconcile.raise()
    }

    private func drain(_ one: ModeSwitch) throws {
        if try state.control(.reconciling) != nil { return try wait(one, for: "the listing of the primary") }
        guard let end = one.drainsTo else {
            _ = try state.advance(one) { one, head in one.drainsTo = head.rawValue }
            return
        }
        guard try state.checkpoint().rawValue >= end else {
            let (count, held, _) = try state.backlog()
            let isPaused = desk.pause != .nothing || held > 0
            return try wait(
                one, for: isPaused ? "`mlmirror resume`: changes are paused" : count == 1 ? "one change" : "changes that are carried across"
            )
        }
        guard one.drains + 1 >= Self.drains else {
            _ = try state.advance(one) { one, head in
                one.drainsTo = head.rawValue
                one.drains += 1
            }
            return
        }
        try go(one, to: .verify) { one, _ in
            one.waitsFor = nil
            one.drains = 0
        }
    }

    private func verify(_ one: ModeSwitch, _ notes: inout Notes) async throws {
        if let until = notes.restsUntil[one.askedAt], mirror.clock.monotonicSeconds < until { return }
        guard let found = try await comparison(one) else { return }
        if found.summary.waiting > 0 {
            // Neither equal nor different before that is carried across.
            try go(one, to: .drain) { one, head in one.drainsTo = head.rawValue }
            return
        }
        let isNothing =
            one.scope != .everything && found.summary.compared["experiments", default: 0] == 0
            && found.summary.compared["registered models", default: 0] == 0
        let isEqual = found.summary.areEqual && !isNothing
        let again = !isEqual && !isNothing && !one.acceptsDifferences && one.comparisons + 1 < Self.comparisons
        if again { try await repair(found.differences) }
        let step: ModeSwitch.Step = isEqual || one.acceptsDifferences ? .seal : again ? .drain : .verify
        let now = mirror.clock.nowMilliseconds
        let after = try go(one, to: step) { one, head in
            one.verifiedAt = now
            one.compared = found.summary.compared
            one.differences = found.summary.differences + found.summary.unreadable
            one.examples = found.differences.prefix(Self.examples).map(\.place)
            one.moving = found.summary.leftOut[SecondLook<Primary, Secondary>.movingLabel] ?? 0
            one.comparisons += 1
            one.blockedAt = step == .verify ? now : nil
            if again { one.drainsTo = head.rawValue }
            one.waitsFor =
                step != .verify
                ? nil
                : isNothing
                    ? "a name: no experiment and no model is called so; take it back with `mlmirror mode dual`, or accept that with --accept-differences"
                    : "\(one.differences) differences: mend them (`mlmirror verify` names all), or ask again with --accept-differences"
        }
        if step == .verify, let after {
            notes.restsUntil[one.askedAt] = mirror.clock.monotonicSeconds + Self.patience
            mirror.logger.event(
                .modeBlocked,
                ["names": one.scope.text, "differences": "\(after.differences)", "detail": after.examples.joined(separator: "; ")])
        }
    }

    /// What was begun before nothing was to be written over any more is finished, by this process and by one that has died.
    private func seal(_ one: ModeSwitch) async throws {
        try mirror.obeyModes()
        let isAlone = mirror.clock.monotonicSeconds - mirror.startedAt >= mirror.configuration.landingTime
        guard isAlone, mirror.modes.withLock({ $0.isObeyed }) else { return try wait(one, for: "writes that were begun before") }
        try await mirror.markSealed(by: one.scope)
        let now = mirror.clock.nowMilliseconds
        try go(one, to: .sealed) { one, _ in
            one.sealedAt = now
            one.waitsFor = nil
        }
    }

    // MARK: Comparing

    private struct Found: Sendable {
        var summary: VerifySummary
        var differences: [Difference]
    }

    /// - Returns: nil when the switch was taken back meanwhile.
    private func comparison(_ one: ModeSwitch) async throws -> Found? {
        var configuration = mirror.configuration
        configuration.scope = configuration.scope.narrowed(to: one.scope)
        let verify = Verify(
            primary: mirror.primary, secondary: mirror.secondary, state: state, configuration: configuration, deep: one.isDeep,
            board: ProgressBoard(), clock: mirror.clock, logger: mirror.logger, isVisitor: true)
        let differences = Locked<[Difference]>([])
        return try await withThrowingTaskGroup(of: Found?.self) { group in
            group.addTask {
                let summary = try await verify.run { difference in
                    differences.withLock { if $0.count < Suspects.most { $0.append(difference) } }
                }
                return Found(summary: summary, differences: differences.withLock { $0 })
            }
            group.addTask {
                while try state.modes.index(of: one) != nil {
                    try await mirror.clock.sleep(seconds: pause)
                }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    private func repair(_ differences: [Difference]) async throws {
        var keys: [EntityKey] = []
        for difference in differences {
            guard let kind = EntityKey.Kind(rawValue: difference.kind), let id = difference.primary else { continue }
            let key = EntityKey(kind, id)
            // Of histories and files it is only noted how far they are: that is no longer to be trusted.
            if !difference.isOfRecord { try await mirror.locks.withLock(key) { try state.forgetBase(key) } }
            if keys.last != key { keys.append(key) }
        }
        try mirror.append(keys)
        mirror.fresh.noteChanged(keys)
        desk.wakeup.raise()
    }

    // MARK: Steps

    @discardableResult
    private func go(
        _ one: ModeSwitch, to step: ModeSwitch.Step, asking why: String? = nil, _ change: (inout ModeSwitch, LSN) -> Void
    ) throws -> ModeSwitch? {
        let after = try state.advance(one, asking: why) { one, head in
            one.step = step
            change(&one, head)
        }
        guard let after, step != one.step else { return after }
        mirror.logger.event(
            .modeStep,
            [
                "step": step.rawValue, "names": one.scope.text, "lsn": "\(after.cutover ?? 0)", "differences": "\(after.differences)",
                "moving": "\(after.moving)",
            ])
        return after
    }

    private func wait(_ one: ModeSwitch, for what: String) throws {
        guard one.waitsFor != what else { return }
        _ = try state.advance(one) { one, _ in one.waitsFor = what }
    }
}

extension Difference {
    /// Which field of which thing; no values.
    var place: String { "\(kind) \(primary ?? secondary ?? "?"): \(field)" }
    /// Of what a store shows of a thing itself: not of its histories, and not of its files.
    var isOfRecord: Bool { !field.hasPrefix("history:") && !field.hasPrefix("metric:") && !field.hasPrefix("file:") }
}
