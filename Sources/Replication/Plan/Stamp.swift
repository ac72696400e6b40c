/// What marks a thing on the secondary as ours: the pair, the primary's identity, and the thing's id there, in tags written
/// by the create call itself.
public struct Stamp: Sendable, Hashable {
    public static let prefix = "mlmirror."
    public static let pairKey = "mlmirror.pair"
    public static let storeKey = "mlmirror.primary.store"
    /// Marks a version that only keeps a number until it is deleted.
    static let placeholderID = "placeholder"
    public static let placeholderKey = "mlmirror.placeholder"
    /// Beside our stamp on what was there before us: only what is ours in it is ever changed.
    public static let adoptedKey = "mlmirror.adopted"
    static func isAdopted(_ tags: [Tag]) -> Bool { tags.contains { $0.key == adoptedKey } }
    /// What was there before us, as its base or its tags say: an attempt that was interrupted has left only the one or the other.
    static func isForeign(_ base: Base?, _ tags: [Tag]) -> Bool { base?[.foreign] != nil || isAdopted(tags) }
    /// Of a run of the primary that we have deleted there, because all of it is on the secondary.
    static let retiredKey = "mlmirror.retired"
    /// Of an experiment or model that the secondary leads: by which switch. A state file can be lost.
    static let sealKey = "mlmirror.sealed"
    /// A name as it is on the primary, where the store takes other ones.
    public static let nameKey = "mlmirror.primary.name"
    /// Of a run that holds a logged model which has no run.
    public static let holderKey = "mlmirror.holder"
    /// In front of an alias, as the tag of a version.
    public static let aliasPrefix = "mlmirror.alias."
    /// An alias as a tag of its version.
    static func tag(ofAlias alias: String) -> Tag {
        let key = aliasPrefix + alias
        return key.utf16.count <= 250 ? Tag(key, "true") : Tag(aliasPrefix + "#" + String(FieldDigest(alias).rawValue, radix: 16), alias)
    }

    static func alias(of tag: Tag) -> String? {
        guard tag.key.hasPrefix(aliasPrefix) else { return nil }
        return tag.value == "true" ? String(tag.key.dropFirst(aliasPrefix.count)) : tag.value
    }

    public static let sourceKey = "mlmirror.primary.source"
    public static let artifactLocationKey = "mlmirror.primary.artifact_location"

    public let pair: String
    public let store: StoreIdentity

    public init(pair: String, store: StoreIdentity) {
        self.pair = pair
        self.store = store
    }

    public static func idKey(_ kind: EntityKey.Kind) -> String {
        switch kind {
        case .run, .runArtifacts: "mlmirror.primary.run_id"
        case .loggedModel, .loggedModelArtifacts: "mlmirror.primary.model_id"
        case .registeredModel: "mlmirror.primary.model"
        case .experiment, .experimentDeletion: "mlmirror.primary.experiment_id"
        }
    }
    public static let versionKey = "mlmirror.primary.version"

    public func tags(_ idKey: String, _ id: String) -> [Tag] {
        // The store first: where tags are set one by one, whose beginning a stamp is must be known.
        [Tag(Self.storeKey, store.rawValue), Tag(Self.pairKey, pair), Tag(idKey, id)]
    }

    /// Of a version, with its model: who copies one into another model copies its tags.
    func tags(_ version: Int, of model: ModelName) -> [Tag] {
        tags(Self.versionKey, "\(version)") + [Tag(Self.idKey(.registeredModel), model.rawValue)]
    }

    /// Which version of the primary's model a version with these tags is; nil: none of it. Older copies do not name their model.
    func version(of model: ModelName, in tags: [Tag]) -> Int? {
        guard case .ours(let id) = owner(Self.versionKey, of: tags) else { return nil }
        let named = tags.first { $0.key == Self.idKey(.registeredModel) }?.value
        return named.map { $0.isExactly(model.rawValue) } ?? true ? Int(id) : nil
    }

    public func tags(_ key: EntityKey) -> [Tag] { tags(Self.idKey(key.kind), key.id) }

    public enum Owner: Sendable, Hashable {
        /// Bears no stamp.
        case nobody
        /// Ours, mirroring this id of the primary.
        case ours(id: String)
        case anotherPair
    }

    /// Whose a thing with these tags is.
    public func owner(_ idKey: String, of tags: [Tag]) -> Owner {
        var pair: String?
        var store: String?
        var id: String?
        for tag in tags {
            switch tag.key {
            case Self.pairKey: pair = tag.value
            case Self.storeKey: store = tag.value
            case idKey: id = tag.value
            default: break
            }
        }
        guard pair != nil || store != nil else { return .nobody }
        // The beginning of ours, on what was there before: who wrote it did not live to finish.
        if store == self.store.rawValue, id == nil, pair == nil || pair == self.pair { return .nobody }
        guard pair == self.pair, store == self.store.rawValue, let id else { return .anotherPair }
        return .ours(id: id)
    }

    static let originalPrefix = "mlmirror.original."

    /// Keeps a tag's value as it was on the primary, beside the rewritten one.
    public static func originalKey(_ key: String) -> String {
        let name = originalPrefix + key
        return name.count <= 250 ? name : originalPrefix + "#" + String(FieldDigest(key).rawValue, radix: 16)
    }
}
