// The commands that every server has, where it cannot be asked for its own.
//
// - Source: https://redis.io/docs/latest/commands/ (Redis 7.0, and what of it Redis 6 has)

/// A command with its arguments, as the documentation writes them.
struct RedisCommand: Sendable {
    var name: String
    var syntax: String

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
        RANDOMKEY
        OBJECT ENCODING: key
        OBJECT FREQ: key
        OBJECT IDLETIME: key
        OBJECT REFCOUNT: key
        SORT: key [BY pattern] [LIMIT offset count] [GET pattern] [ASC | DESC] [ALPHA] [STORE destination]
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
        LCS: key key [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]
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
        HRANDFIELD: key [count] [WITHVALUES]
        HSCAN: key cursor [MATCH pattern] [COUNT count]
        HSET: key field value [field value ...]
        HSETNX: key field value
        HSTRLEN: key field
        HVALS: key
        BLMOVE: source destination LEFT | RIGHT LEFT | RIGHT timeout
        BLPOP: key [key ...] timeout
        BRPOP: key [key ...] timeout
        LINDEX: key index
        LINSERT: key BEFORE | AFTER pivot element
        LLEN: key
        LMOVE: source destination LEFT | RIGHT LEFT | RIGHT
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
        ZADD: key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
        ZCARD: key
        ZCOUNT: key min max
        ZDIFF: numkeys key [key ...] [WITHSCORES]
        ZINCRBY: key increment member
        ZINTER: numkeys key [key ...] [WEIGHTS weight] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
        ZLEXCOUNT: key min max
        ZMSCORE: key member [member ...]
        ZPOPMAX: key [count]
        ZPOPMIN: key [count]
        ZRANDMEMBER: key [count] [WITHSCORES]
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
        ZREVRANGEBYSCORE: key max min [WITHSCORES] [LIMIT offset count]
        ZREVRANK: key member
        ZSCAN: key cursor [MATCH pattern] [COUNT count]
        ZSCORE: key member
        ZUNION: numkeys key [key ...] [WEIGHTS weight] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
        ZUNIONSTORE: destination numkeys key [key ...] [WEIGHTS weight] [AGGREGATE SUM | MIN | MAX]
        XACK: key group id [id ...]
        XADD: key [NOMKSTREAM] [MAXLEN threshold | MINID threshold] id field value [field value ...]
        XCLAIM: key group consumer min-idle-time id [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID]
        XDEL: key id [id ...]
        XGROUP CREATE: key group id [MKSTREAM] [ENTRIESREAD entries-read]
        XGROUP CREATECONSUMER: key group consumer
        XGROUP DELCONSUMER: key group consumer
        XGROUP DESTROY: key group
        XGROUP SETID: key group id
        XINFO CONSUMERS: key group
        XINFO GROUPS: key
        XINFO STREAM: key [FULL] [COUNT count]
        XLEN: key
        XPENDING: key group [IDLE min-idle-time] [start end count]
        XRANGE: key start end [COUNT count]
        XREAD: [COUNT count] [BLOCK milliseconds] [STREAMS key]
        XREADGROUP: GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] [STREAMS key]
        XREVRANGE: key end start [COUNT count]
        XTRIM: key MAXLEN | MINID threshold [LIMIT count]
        BITCOUNT: key [start] [end] [BYTE | BIT]
        BITOP: AND | OR | XOR | NOT destination key [key ...]
        BITPOS: key bit [start] [end] [BYTE | BIT]
        GETBIT: key offset
        SETBIT: key offset value
        GEOADD: key [NX | XX] [CH] longitude latitude member
        GEODIST: key member member [M | KM | FT | MI]
        GEOHASH: key member [member ...]
        GEOPOS: key member [member ...]
        GEOSEARCH: key [FROMMEMBER member] [FROMLONLAT longitude] [BYRADIUS radius] [ASC | DESC] [COUNT count] [WITHCOORD] [WITHDIST] [WITHHASH]
        PFADD: key element [element ...]
        PFCOUNT: key [key ...]
        PFMERGE: destination source [source ...]
        PUBLISH: channel message
        SUBSCRIBE: channel [channel ...]
        PSUBSCRIBE: pattern [pattern ...]
        UNSUBSCRIBE: [channel ...]
        PUNSUBSCRIBE: [pattern ...]
        PUBSUB CHANNELS: [pattern]
        PUBSUB NUMPAT
        PUBSUB NUMSUB: [channel ...]
        MULTI
        EXEC
        DISCARD
        WATCH: key [key ...]
        UNWATCH
        EVAL: script numkeys key [key ...] [arg ...]
        EVALSHA: sha1 numkeys key [key ...] [arg ...]
        FCALL: function numkeys key [key ...] [arg ...]
        SCRIPT EXISTS: sha1 [sha1 ...]
        SCRIPT FLUSH: [ASYNC | SYNC]
        SCRIPT LOAD: script
        FUNCTION LIST: [LIBRARYNAME name] [WITHCODE]
        FUNCTION LOAD: [REPLACE] function-code
        AUTH: [username] password
        CLIENT GETNAME
        CLIENT ID
        CLIENT INFO
        CLIENT KILL: [ID client-id] [TYPE type] [ADDR address]
        CLIENT LIST: [TYPE type] [ID client-id]
        CLIENT SETNAME: connection-name
        CLIENT TRACKING: ON | OFF [REDIRECT client-id] [PREFIX prefix] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
        ECHO: message
        HELLO: [protover] [AUTH username] [SETNAME name]
        PING: [message]
        QUIT
        SELECT: index
        ACL CAT: [category]
        ACL GETUSER: username
        ACL LIST
        ACL SETUSER: username [rule ...]
        ACL WHOAMI
        BGREWRITEAOF
        BGSAVE: [SCHEDULE]
        COMMAND COUNT
        COMMAND DOCS: [command-name ...]
        COMMAND INFO: [command-name ...]
        COMMAND LIST
        CONFIG GET: parameter [parameter ...]
        CONFIG RESETSTAT
        CONFIG REWRITE
        CONFIG SET: parameter value [parameter value ...]
        DBSIZE
        FAILOVER: [TO host] [ABORT] [TIMEOUT milliseconds]
        FLUSHALL: [ASYNC | SYNC]
        FLUSHDB: [ASYNC | SYNC]
        INFO: [section ...]
        LASTSAVE
        LATENCY DOCTOR
        LATENCY HISTORY: event
        LATENCY LATEST
        LATENCY RESET: [event ...]
        LOLWUT: [VERSION version]
        MEMORY DOCTOR
        MEMORY STATS
        MEMORY USAGE: key [SAMPLES count]
        MODULE LIST
        MONITOR
        REPLICAOF: host port
        ROLE
        SAVE
        SHUTDOWN: [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]
        SLOWLOG GET: [count]
        SLOWLOG LEN
        SLOWLOG RESET
        SWAPDB: index index
        TIME
        WAIT: numreplicas timeout
        CLUSTER INFO
        CLUSTER NODES
        CLUSTER SLOTS
        READONLY
        READWRITE
        """
}
