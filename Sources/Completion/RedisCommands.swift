// The commands that every server has, where it cannot be asked for its own.
//
// - Source: https://redis.io/docs/latest/commands/ (Redis 7.0, and what of it Redis 6 has)

/// A command with its arguments, as the documentation writes them.
struct RedisCommand: Sendable {
    var name: String
    var syntax: String

    /// As the server has it, if that says more: some versions leave words out.
    func completed(by own: RedisCommand?) -> RedisCommand {
        own.map { $0.wordCount >= wordCount ? $0 : self } ?? self
    }

    /// Words of its arguments that are written as they are.
    private var wordCount: Int {
        syntax.split { $0 == " " || $0 == "[" || $0 == "]" || $0 == "<" || $0 == ">" || $0 == "|" }
            .count { !$0.utf8.contains { (0x61...0x7a).contains($0) } }
    }

    static let all: [RedisCommand] = text.split(separator: "\n").map { line in
        let parts = line.split(separator: ":", maxSplits: 1)
        return RedisCommand(name: String(parts[0]), syntax: parts.count > 1 ? String(parts[1].dropFirst()) : "")
    }

    private static let text = """
        GET: key
        SET: key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]
        DEL: key [key ...]
        EXISTS: key [key ...]
        EXPIRE: key seconds [NX | XX | GT | LT]
        EXPIREAT: key unix-time-seconds [NX | XX | GT | LT]
        EXPIRETIME: key
        PEXPIRE: key milliseconds [NX | XX | GT | LT]
        PEXPIREAT: key unix-time-milliseconds [NX | XX | GT | LT]
        PEXPIRETIME: key
        PERSIST: key
        TTL: key
        PTTL: key
        TYPE: key
        KEYS: pattern
        SCAN: cursor [MATCH pattern] [COUNT count] [TYPE type]
        RENAME: key newkey
        RENAMENX: key newkey
        COPY: source destination [DB destination-db] [REPLACE]
        MOVE: key db
        UNLINK: key [key ...]
        TOUCH: key [key ...]
        DUMP: key
        RESTORE: key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
        MIGRATE: host port <key | ""> destination-db timeout [COPY] [REPLACE] [[AUTH password] | [AUTH2 username password]] [KEYS key [key ...]]
        RANDOMKEY
        OBJECT ENCODING: key
        OBJECT FREQ: key
        OBJECT IDLETIME: key
        OBJECT REFCOUNT: key
        SORT: key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]
        SORT_RO: key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]
        APPEND: key value
        DECR: key
        DECRBY: key decrement
        GETDEL: key
        GETEX: key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
        GETRANGE: key start end
        GETSET: key value
        INCR: key
        INCRBY: key increment
        INCRBYFLOAT: key increment
        LCS: key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]
        MGET: key [key ...]
        MSET: key value [key value ...]
        MSETNX: key value [key value ...]
        PSETEX: key milliseconds value
        SETEX: key seconds value
        SETNX: key value
        SETRANGE: key offset value
        STRLEN: key
        HDEL: key field [field ...]
        HEXISTS: key field
        HGET: key field
        HGETALL: key
        HINCRBY: key field increment
        HINCRBYFLOAT: key field increment
        HKEYS: key
        HLEN: key
        HMGET: key field [field ...]
        HMSET: key field value [field value ...]
        HRANDFIELD: key [count [WITHVALUES]]
        HSCAN: key cursor [MATCH pattern] [COUNT count]
        HSET: key field value [field value ...]
        HSETNX: key field value
        HSTRLEN: key field
        HVALS: key
        BLMOVE: source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout
        BLMPOP: timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]
        BLPOP: key [key ...] timeout
        BRPOP: key [key ...] timeout
        BRPOPLPUSH: source destination timeout
        LINDEX: key index
        LINSERT: key <BEFORE | AFTER> pivot element
        LLEN: key
        LMOVE: source destination <LEFT | RIGHT> <LEFT | RIGHT>
        LMPOP: numkeys key [key ...] <LEFT | RIGHT> [COUNT count]
        LPOP: key [count]
        LPOS: key element [RANK rank] [COUNT num-matches] [MAXLEN len]
        LPUSH: key element [element ...]
        LPUSHX: key element [element ...]
        LRANGE: key start stop
        LREM: key count element
        LSET: key index element
        LTRIM: key start stop
        RPOP: key [count]
        RPOPLPUSH: source destination
        RPUSH: key element [element ...]
        RPUSHX: key element [element ...]
        SADD: key member [member ...]
        SCARD: key
        SDIFF: key [key ...]
        SDIFFSTORE: destination key [key ...]
        SINTER: key [key ...]
        SINTERCARD: numkeys key [key ...] [LIMIT limit]
        SINTERSTORE: destination key [key ...]
        SISMEMBER: key member
        SMEMBERS: key
        SMISMEMBER: key member [member ...]
        SMOVE: source destination member
        SPOP: key [count]
        SRANDMEMBER: key [count]
        SREM: key member [member ...]
        SSCAN: key cursor [MATCH pattern] [COUNT count]
        SUNION: key [key ...]
        SUNIONSTORE: destination key [key ...]
        BZPOPMAX: key [key ...] timeout
        BZPOPMIN: key [key ...] timeout
        BZMPOP: timeout numkeys key [key ...] <MIN | MAX> [COUNT count]
        ZADD: key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
        ZCARD: key
        ZCOUNT: key min max
        ZDIFF: numkeys key [key ...] [WITHSCORES]
        ZDIFFSTORE: destination numkeys key [key ...]
        ZINCRBY: key increment member
        ZINTER: numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
        ZINTERCARD: numkeys key [key ...] [LIMIT limit]
        ZINTERSTORE: destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
        ZLEXCOUNT: key min max
        ZMSCORE: key member [member ...]
        ZMPOP: numkeys key [key ...] <MIN | MAX> [COUNT count]
        ZPOPMAX: key [count]
        ZPOPMIN: key [count]
        ZRANDMEMBER: key [count [WITHSCORES]]
        ZRANGE: key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
        ZRANGEBYLEX: key min max [LIMIT offset count]
        ZRANGEBYSCORE: key min max [WITHSCORES] [LIMIT offset count]
        ZRANGESTORE: destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
        ZRANK: key member
        ZREM: key member [member ...]
        ZREMRANGEBYLEX: key min max
        ZREMRANGEBYRANK: key start stop
        ZREMRANGEBYSCORE: key min max
        ZREVRANGE: key start stop [WITHSCORES]
        ZREVRANGEBYLEX: key max min [LIMIT offset count]
        ZREVRANGEBYSCORE: key max min [WITHSCORES] [LIMIT offset count]
        ZREVRANK: key member
        ZSCAN: key cursor [MATCH pattern] [COUNT count]
        ZSCORE: key member
        ZUNION: numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
        ZUNIONSTORE: destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
        XACK: key group id [id ...]
        XADD: key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]
        XAUTOCLAIM: key group consumer min-idle-time start [COUNT count] [JUSTID]
        XCLAIM: key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]
        XDEL: key id [id ...]
        XGROUP CREATE: key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries-read]
        XGROUP CREATECONSUMER: key groupname consumername
        XGROUP DELCONSUMER: key groupname consumername
        XGROUP DESTROY: key groupname
        XGROUP SETID: key groupname <id | $> [ENTRIESREAD entries-read]
        XINFO CONSUMERS: key groupname
        XINFO GROUPS: key
        XINFO STREAM: key [FULL [COUNT count]]
        XLEN: key
        XPENDING: key group [[IDLE min-idle-time] start end count [consumer]]
        XRANGE: key start end [COUNT count]
        XREAD: [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]
        XREADGROUP: GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]
        XREVRANGE: key end start [COUNT count]
        XSETID: key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-entry-id]
        XTRIM: key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]
        BITCOUNT: key [start end [BYTE | BIT]]
        BITFIELD: key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> ...]]
        BITFIELD_RO: key [GET encoding offset [GET encoding offset ...]]
        BITOP: <AND | OR | XOR | NOT> destkey key [key ...]
        BITPOS: key bit [start [end [BYTE | BIT]]]
        GETBIT: key offset
        SETBIT: key offset value
        GEOADD: key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]
        GEODIST: key member1 member2 [M | KM | FT | MI]
        GEOHASH: key member [member ...]
        GEOPOS: key member [member ...]
        GEOSEARCH: key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
        GEOSEARCHSTORE: destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]
        PFADD: key [element [element ...]]
        PFCOUNT: key [key ...]
        PFMERGE: destkey sourcekey [sourcekey ...]
        PUBLISH: channel message
        SPUBLISH: shardchannel message
        SUBSCRIBE: channel [channel ...]
        PSUBSCRIBE: pattern [pattern ...]
        SSUBSCRIBE: shardchannel [shardchannel ...]
        UNSUBSCRIBE: [channel [channel ...]]
        PUNSUBSCRIBE: [pattern [pattern ...]]
        SUNSUBSCRIBE: [shardchannel [shardchannel ...]]
        PUBSUB CHANNELS: [pattern]
        PUBSUB NUMPAT
        PUBSUB NUMSUB: [channel [channel ...]]
        PUBSUB SHARDCHANNELS: [pattern]
        PUBSUB SHARDNUMSUB: [shardchannel [shardchannel ...]]
        MULTI
        EXEC
        DISCARD
        WATCH: key [key ...]
        UNWATCH
        EVAL: script numkeys [key [key ...]] [arg [arg ...]]
        EVAL_RO: script numkeys [key [key ...]] [arg [arg ...]]
        EVALSHA: sha1 numkeys [key [key ...]] [arg [arg ...]]
        EVALSHA_RO: sha1 numkeys [key [key ...]] [arg [arg ...]]
        FCALL: function numkeys [key [key ...]] [arg [arg ...]]
        FCALL_RO: function numkeys [key [key ...]] [arg [arg ...]]
        SCRIPT EXISTS: sha1 [sha1 ...]
        SCRIPT FLUSH: [ASYNC | SYNC]
        SCRIPT KILL
        SCRIPT LOAD: script
        FUNCTION DELETE: library-name
        FUNCTION DUMP
        FUNCTION FLUSH: [ASYNC | SYNC]
        FUNCTION KILL
        FUNCTION LIST: [LIBRARYNAME library-name-pattern] [WITHCODE]
        FUNCTION LOAD: [REPLACE] function-code
        FUNCTION RESTORE: serialized-value [FLUSH | APPEND | REPLACE]
        FUNCTION STATS
        AUTH: [username] password
        CLIENT CACHING: <YES | NO>
        CLIENT GETNAME
        CLIENT GETREDIR
        CLIENT ID
        CLIENT INFO
        CLIENT KILL: [ip:port] [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>]
        CLIENT LIST: [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]
        CLIENT NO-EVICT: <ON | OFF>
        CLIENT PAUSE: timeout [WRITE | ALL]
        CLIENT REPLY: <ON | OFF | SKIP>
        CLIENT SETNAME: connection-name
        CLIENT TRACKING: <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
        CLIENT TRACKINGINFO
        CLIENT UNBLOCK: client-id [TIMEOUT | ERROR]
        CLIENT UNPAUSE
        ECHO: message
        HELLO: [protover [AUTH username password] [SETNAME clientname]]
        PING: [message]
        QUIT
        RESET
        SELECT: index
        ACL CAT: [categoryname]
        ACL DELUSER: username [username ...]
        ACL DRYRUN: username command [arg [arg ...]]
        ACL GENPASS: [bits]
        ACL GETUSER: username
        ACL LIST
        ACL LOAD
        ACL LOG: [count | RESET]
        ACL SAVE
        ACL SETUSER: username [rule [rule ...]]
        ACL USERS
        ACL WHOAMI
        BGREWRITEAOF
        BGSAVE: [SCHEDULE]
        COMMAND COUNT
        COMMAND DOCS: [command-name [command-name ...]]
        COMMAND GETKEYS
        COMMAND GETKEYSANDFLAGS
        COMMAND INFO: [command-name [command-name ...]]
        COMMAND LIST: [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]
        CONFIG GET: parameter [parameter ...]
        CONFIG RESETSTAT
        CONFIG REWRITE
        CONFIG SET: parameter value [parameter value ...]
        DBSIZE
        FAILOVER: [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
        FLUSHALL: [ASYNC | SYNC]
        FLUSHDB: [ASYNC | SYNC]
        INFO: [section [section ...]]
        LASTSAVE
        LATENCY DOCTOR
        LATENCY GRAPH: event
        LATENCY HISTOGRAM: [command [command ...]]
        LATENCY HISTORY: event
        LATENCY LATEST
        LATENCY RESET: [event [event ...]]
        LOLWUT: [VERSION version]
        MEMORY DOCTOR
        MEMORY MALLOC-STATS
        MEMORY PURGE
        MEMORY STATS
        MEMORY USAGE: key [SAMPLES count]
        MODULE LIST
        MODULE LOAD: path [arg [arg ...]]
        MODULE LOADEX: path [CONFIG name value [CONFIG name value ...]] [ARGS arg [arg ...]]
        MODULE UNLOAD: name
        MONITOR
        REPLICAOF: <host port | NO ONE>
        ROLE
        SAVE
        SHUTDOWN: [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]
        SLOWLOG GET: [count]
        SLOWLOG LEN
        SLOWLOG RESET
        SWAPDB: index1 index2
        TIME
        WAIT: numreplicas timeout
        CLUSTER ADDSLOTS: slot [slot ...]
        CLUSTER ADDSLOTSRANGE: start-slot end-slot [start-slot end-slot ...]
        CLUSTER BUMPEPOCH
        CLUSTER COUNT-FAILURE-REPORTS: node-id
        CLUSTER COUNTKEYSINSLOT: slot
        CLUSTER DELSLOTS: slot [slot ...]
        CLUSTER DELSLOTSRANGE: start-slot end-slot [start-slot end-slot ...]
        CLUSTER FAILOVER: [FORCE | TAKEOVER]
        CLUSTER FLUSHSLOTS
        CLUSTER FORGET: node-id
        CLUSTER GETKEYSINSLOT: slot count
        CLUSTER INFO
        CLUSTER KEYSLOT: key
        CLUSTER LINKS
        CLUSTER MEET: ip port [cluster-bus-port]
        CLUSTER MYID
        CLUSTER NODES
        CLUSTER REPLICAS: node-id
        CLUSTER REPLICATE: node-id
        CLUSTER RESET: [HARD | SOFT]
        CLUSTER SAVECONFIG
        CLUSTER SET-CONFIG-EPOCH: config-epoch
        CLUSTER SETSLOT: slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>
        CLUSTER SHARDS
        CLUSTER SLOTS
        READONLY
        READWRITE
        ASKING
        """
}
