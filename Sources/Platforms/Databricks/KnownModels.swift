import Replication

/// What registered models of Unity Catalog said when each was read by itself, for looks that are repeated every few seconds: the list shows neither
/// aliases nor tags, and a read of each model in each look would be as many requests as there are models.
///
/// One whose listed record is another is read anew at once. Nobody documents that a moved alias shows there: so some of the others are
/// read in each look too, those first that were read longest ago.
struct KnownModels: Sendable {
    private struct Known {
        var listed: RegisteredModel
        var whole: RegisteredModel
        /// Counts reads.
        var turn: Int
    }
    private var known: [ModelName: Known] = [:]
    private var turn = 0
    /// Of one page, which has a hundred at most: every model is read in ten looks.
    private static let again = 10
    private static let most = 50_000

    /// Those of a page that are to be read, and the others as they are known.
    func sorted(_ page: [RegisteredModel]) -> (due: [RegisteredModel], known: [ModelName: RegisteredModel]) {
        let same = page.compactMap { listed in known[listed.name].flatMap { $0.listed == listed ? $0 : nil } }
        let old = Set(same.sorted { $0.turn < $1.turn }.prefix(Self.again).map(\.listed.name))
        var others: [ModelName: RegisteredModel] = [:]
        for one in same where !old.contains(one.listed.name) { others[one.listed.name] = one.whole }
        return (page.filter { others[$0.name] == nil }, others)
    }

    /// - Parameter read: what was read of those that were due; what is missing is gone, or was refused.
    mutating func note(_ due: [RegisteredModel], read: [ModelName: RegisteredModel]) {
        if known.count + due.count > Self.most { known = [:] }
        for listed in due {
            turn += 1
            known[listed.name] = read[listed.name].map { Known(listed: listed, whole: $0, turn: turn) }
        }
    }
}
