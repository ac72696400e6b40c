/// What a polling feed cannot see, or not understand: told once in a while, and asked for no oftener.
struct Unseen: Sendable {
    /// Until when an experiment that is closed to us is not asked for, in monotonic seconds: each would have its group split anew.
    private var closed: [ExperimentID: Double] = [:]
    /// When it was told last, likewise.
    private var told: [EntityKey: Double] = [:]
    private var letters: [DeadLetter] = []
    /// Two experiments that were answered for last, of two searches.
    private var answered: [ExperimentID] = []
    private static let pause = 600.0
    private static let shortPause = 60.0
    private static let most = 10_000

    func isClosed(_ id: ExperimentID, at now: Double) -> Bool { closed[id].map { $0 > now } ?? false }

    mutating func noteAnswer(_ group: [ExperimentID]) {
        answered = (group.prefix(1) + answered.filter { !group.contains($0) }.prefix(1)).map { $0 }
    }
    func answered(besides group: [ExperimentID]) -> ExperimentID? { answered.first { !group.contains($0) } }

    mutating func noteClosed(_ id: ExperimentID, _ error: StoreError, at now: Double) {
        closed = closed.filter { $0.value > now }
        // What stumbled may stand again soon.
        closed[id] = now + (error.isRetriable ? Self.shortPause : Self.pause)
        letters.append(DeadLetter(key: .experiment(id), path: "contents", error))
    }

    mutating func note(_ undecodable: [Undecodable], at now: Double) {
        for item in undecodable {
            let letter = DeadLetter(item)
            guard told[letter.key].map({ $0 + Self.pause <= now }) ?? true else { continue }
            if told.count >= Self.most { told = [:] }
            told[letter.key] = now
            letters.append(letter)
        }
    }

    /// What has come since it was asked last.
    mutating func takeLetters() -> [DeadLetter] {
        defer { letters = [] }
        return letters
    }
}
