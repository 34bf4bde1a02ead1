"""The Chinese of TinyTales: the words for the keys of world.py, and the sentences."""

from __future__ import annotations

from happyllm.data.tinytales.language import Language

NAMES = (
    "小明", "小红", "小刚", "小丽", "大伟", "小芳", "阿宝", "玲玲",
    "东东", "小雪", "乐乐", "小燕", "壮壮", "圆圆", "天天", "苗苗",
)  # fmt: skip

PLACES = {
    "park": "公园", "garden": "花园", "kitchen": "厨房", "school": "学校", "market": "集市",
    "forest": "森林", "river": "河边", "farm": "农场", "library": "图书馆", "beach": "海边",
    "hill": "山坡", "yard": "院子", "shop": "商店", "station": "车站", "bridge": "桥头",
    "museum": "博物馆",
}  # fmt: skip
AT = {
    "park": "在公园里", "garden": "在花园里", "kitchen": "在厨房里", "school": "在学校里",
    "market": "在集市上", "forest": "在森林里", "river": "在河边", "farm": "在农场里",
    "library": "在图书馆里", "beach": "在海边", "hill": "在山坡上", "yard": "在院子里",
    "shop": "在商店里", "station": "在车站", "bridge": "在桥头", "museum": "在博物馆里",
}  # fmt: skip

WORDS = {
    "ball": "皮球", "book": "书", "kite": "风筝", "hat": "帽子", "key": "钥匙", "bell": "铃铛",
    "drum": "鼓", "cup": "杯子", "lamp": "灯", "doll": "布娃娃", "coin": "硬币", "boat": "小木船",
    "flute": "笛子", "scarf": "围巾", "clock": "闹钟", "ring": "戒指",
    "red": "红色", "blue": "蓝色", "green": "绿色", "yellow": "黄色", "white": "白色",
    "black": "黑色",
    "apples": "苹果", "pears": "梨", "flowers": "花", "shells": "贝壳", "stones": "石子",
    "leaves": "树叶", "nuts": "核桃", "eggs": "鸡蛋",
    "cat": "猫", "dog": "狗", "bird": "鸟", "rabbit": "兔子", "frog": "青蛙", "duck": "鸭子",
    "horse": "马", "fox": "狐狸",
    "dumplings": "饺子", "cake": "蛋糕", "rice": "米饭", "bread": "面包", "honey": "蜂蜜",
    "noodles": "面条", "cheese": "奶酪", "corn": "玉米",
    "knife": "小刀", "stick": "木棍", "fork": "叉子", "spoon": "勺子", "hammer": "锤子",
    "nail": "钉子",
    "happy": "高兴", "sad": "难过", "tired": "累", "afraid": "害怕",
}  # fmt: skip

MEASURES = {
    "ball": "个", "book": "本", "kite": "只", "hat": "顶", "key": "把", "bell": "个", "drum": "面",
    "cup": "个", "lamp": "盏", "doll": "个", "coin": "枚", "boat": "只", "flute": "支",
    "scarf": "条", "clock": "个", "ring": "枚",
    "apples": "个", "pears": "个", "flowers": "朵", "shells": "个", "stones": "颗", "leaves": "片",
    "nuts": "个", "eggs": "个",
    "cat": "只", "dog": "条", "bird": "只", "rabbit": "只", "frog": "只", "duck": "只",
    "horse": "匹", "fox": "只",
    "knife": "把", "stick": "根", "fork": "把", "spoon": "把", "hammer": "把", "nail": "根",
}  # fmt: skip

SPOTS = {
    "box": "箱子里", "basket": "篮子里", "bench": "长凳下面", "chair": "椅子上", "wall": "墙后面",
    "table": "桌子上", "door": "门后面", "stone": "大石头下面",
}  # fmt: skip

JOBS = {
    "chest": ("打开旧木箱", "打开了旧木箱"),
    "hole": ("挖一个洞", "挖了一个洞"),
    "toy": ("修好玩具", "修好了玩具"),
    "ice": ("敲碎冰块", "敲碎了冰块"),
    "line": ("画一条线", "在地上画了一条线"),
    "lid": ("撬开盖子", "撬开了盖子"),
}

PURPOSES = {
    "rest": "休息", "draw": "画画", "play": "做游戏", "sing": "唱歌", "read": "看故事书",
    "eat": "吃午饭", "wait": "等朋友", "dance": "跳舞",
}  # fmt: skip

REASONS = {
    "song": "听到了一首好听的歌", "letter": "收到了一封信", "sun": "太阳出来了",
    "friend": "有朋友来做客",
    "rain": "下雨了", "brother": "想念哥哥", "alone": "没有人一起玩", "plate": "盘子打碎了",
    "long_way": "路太远了", "early": "起得太早了", "work": "干了很多活", "bag": "书包太重了",
    "thunder": "打雷了", "dark": "天快黑了", "bear": "来了一头大熊", "noise": "听到了奇怪的响声",
}  # fmt: skip

NUMBERS = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九")
VERBS = {
    "apples": "摘", "pears": "摘", "flowers": "采", "shells": "捡", "stones": "捡", "leaves": "捡",
    "nuts": "捡", "eggs": "捡",
}  # fmt: skip

OPENINGS = (
    "这一天天气很暖和。", "这一天有点冷。", "从前有一个小镇。", "那是一个安静的早晨。",
    "太阳出来了。", "春天来了。", "一阵微风吹过。", "天刚刚亮。",
)  # fmt: skip

TELL = {
    "go": (
        "{A}去了{place}。", "{A}来到{place}。", "{A}跑到{place}。", "后来，{a}去了{place}。",
        "过了一会儿，{a}来到{place}。", "{A}一路走到{place}。",
    ),
    "go for": (
        "{A}去{place}{purpose}。", "{A}想{purpose}，就去了{place}。",
        "后来，{a}去{place}{purpose}。", "{A}到{place}去{purpose}。",
    ),
    "find": (
        "{A}{at}找到了一{measure}{thing}，是{colour}的。",
        "{A}{at}发现了一{measure}{thing}，是{colour}的。",
        "{At}，{a}找到了一{measure}{thing}，是{colour}的。",
        "瞧，{a}{at}发现了一{measure}{thing}，是{colour}的！",
    ),
    "see": (
        "{A}{at}看见了一{measure}{thing}。", "{At}，{a}看见了一{measure}{thing}。",
        "忽然，{a}看见了一{measure}{thing}。", "{A}停下脚步，看见了一{measure}{thing}。",
    ),
    "collect": (
        "{A}{verb}了{thing}，一共{count}{measure}。",
        "{A}{at}{verb}了{thing}，一共{count}{measure}。",
        "接着，{a}{verb}了{thing}，一共{count}{measure}。",
    ),
    "like": (
        "{A}说：“我喜欢吃{thing}。”", "“我喜欢吃{thing}。”{a}说。",
        "“你喜欢吃什么？”“我喜欢吃{thing}。”{a}说。", "{A}最喜欢吃{thing}。",
    ),
    "give": (
        "{A}把{thing}送给了{other}。", "后来，{a}把{thing}送给了{other}。",
        "“这是给你的。”{a}把{thing}送给了{other}。",
        "{A}把{thing}送给了{other}，{other}说：“谢谢你！”",
    ),
    "put": (
        "{A}把{thing}放在{spot}。", "然后，{a}把{thing}放在{spot}。",
        "{A}把{thing}放在{spot}，就不再管它了。",
    ),
    "use": (
        "{A}用一{tool_measure}{tool}{did_job}。", "{A}拿起一{tool_measure}{tool}，用它{did_job}。",
        "接着，{a}用一{tool_measure}{tool}{did_job}。",
    ),
    "feel": (
        "{A}很{thing}，因为{reason}。", "因为{reason}，{a}很{thing}。",
        "这时{a}很{thing}，因为{reason}。",
    ),
    "meet": (
        "{A}{at}遇见了{other}。", "{At}，{a}遇见了{other}。",
        "{A}遇见了{other}。“你好，{other}！”{name}说。",
    ),
    "eat": (
        "{A}吃了{count}{measure}{thing}。", "然后，{a}吃了{count}{measure}{thing}。",
        "{A}饿了，吃了{count}{measure}{thing}。",
    ),
}  # fmt: skip

QUESTIONS = {
    "where_now": (("{name}现在在哪里？", "{name}在哪里？", "在哪里能找到{name}？"), "{name}{at}。"),
    "who_at": (("谁{at}？", "现在谁{at}？"), "{name}。"),
    "why_go": (("{name}去{place}做什么？", "{name}为什么去{place}？"), "去{purpose}。"),
    "where_next": (("{name}去过{place0}以后，又去了哪里？",), "去了{place}。"),
    "what_next": (("{name}{done0}以后，又做了什么？",), "{He}{done}。"),
    "what_found": (
        ("{name}找到了什么？", "{name}发现了什么东西？"),
        "一{measure}{thing}。",
    ),
    "who_found": (("谁找到了{thing}？", "{thing}是谁找到的？"), "{name}。"),
    "where_found": (("{name}在哪里找到了{thing}？", "{thing}是在哪里找到的？"), "{At}。"),
    "colour": (("{thing}是什么颜色的？", "那{measure}{thing}是什么颜色？"), "是{colour}的。"),
    "what_saw": (
        ("{name}看见了什么？", "{name}看见了什么动物？"),
        "{name}看见了一{measure}{thing}。",
    ),
    "who_saw": (("谁看见了{thing}？", "那{measure}{thing}是谁看见的？"), "{name}。"),
    "how_many": (
        ("{name}{verb}了多少{thing}？", "{name}一共{verb}了多少{measure}{thing}？"),
        "一共{count}{measure}。",
    ),
    "who_collected": (("谁{verb}了{thing}？", "{thing}是谁{verb}的？"), "{name}。"),
    "what_collected": (
        ("{name}{verb}了些什么？", "{name}带回了什么？"),
        "{name}{verb}了{thing}，一共{count}{measure}。",
    ),
    "what_like": (("{name}喜欢吃什么？", "{name}爱吃什么？"), "{name}喜欢吃{thing}。"),
    "who_likes": (("谁喜欢吃{thing}？", "谁爱吃{thing}？"), "{name}。"),
    "gave_to": (("{name}把{thing}送给了谁？", "{thing}送给了谁？"), "送给了{other}。"),
    "who_gave": (("谁把{thing}送给了{other}？", "{other}的{thing}是谁送的？"), "{name}。"),
    "what_gave": (("{name}送给{other}什么？", "{name}把什么送给了{other}？"), "{thing}。"),
    "who_has": (("{thing}在谁那里？", "现在谁拿着{thing}？"), "{name}。"),
    "who_put": (("谁把{thing}放在{spot}？", "是谁把{thing}放在{spot}的？"), "{name}。"),
    "where_put": (("{thing}在哪里？", "{thing}放在哪里？"), "在{spot}。"),
    "where_held": (("{thing0}在什么地方？", "{thing0}现在在什么地方？"), "{At}。"),
    "with_what": (
        ("{name}用什么{did_job}？", "{name}是用什么{did_job}的？"),
        "用一{tool_measure}{tool}。",
    ),
    "who_used": (("谁{did_job}？", "是谁用了{tool}？"), "{name}。"),
    "why_feel": (("{name}为什么很{thing}？", "{name}怎么会{thing}？"), "因为{reason}。"),
    "how_feel": (("{name}的心情怎么样？", "{name}感觉怎么样？"), "很{thing}。"),
    "who_feels": (("谁很{thing}？", "是谁觉得{thing}？"), "{name}。"),
    "who_met": (("{name}遇见了谁？", "{name}{at}遇见了谁？"), "{name}遇见了{other}。"),
    "how_many_left": (
        ("{name}还剩多少{thing}？", "还剩下多少{measure}{thing}？"),
        "{Left}{measure}。",
    ),
}  # fmt: skip

DONE = {
    "go": "去了{place}",
    "find": "找到了一{measure}{thing}，是{colour}的",
    "see": "看见了一{measure}{thing}",
    "collect": "{verb}了{thing}，一共{count}{measure}",
    "give": "把{thing}送给了{other}",
    "put": "把{thing}放在{spot}",
    "use": "用{tool}{did_job}",
    "meet": "遇见了{other}",
    "eat": "吃了{count}{measure}{thing}",
}

RECAPS = (
    "晚上，{name}把这一天讲给妈妈听：", "睡觉以前，{name}在本子上写道：",
    "“{name}，今天你做了什么？”奶奶问。", "回到家，{name}说：",
)  # fmt: skip
RECAP = ("“我{done}。", "我{done}。", "”")

ENDINGS = (
    "这真是美好的一天。", "后来大家都回家了。", "这一天就这样过去了。", "夜里，星星出来了。",
    "多有意思的一天啊！", "那天晚上，大家都睡得很香。",
)  # fmt: skip

TITLES = ("{name}和{thing}", "{name}{at}", "{name}的一天", "{name}的故事")

FACTS = (
    ("奶牛产什么？", "牛奶。", ("奶牛产牛奶。", "牛奶是奶牛产的。")),
    ("母鸡下什么？", "蛋。", ("母鸡下蛋。", "蛋是母鸡下的。")),
    ("蜜蜂酿什么？", "蜂蜜。", ("蜜蜂酿蜂蜜。", "蜂蜜是蜜蜂酿的。")),
    ("鱼住在哪里？", "水里。", ("鱼住在水里。", "水里有鱼。")),
    ("鸟的窝在哪里？", "树上。", ("鸟的窝在树上。", "鸟在树上做窝。")),
    ("马吃什么？", "草。", ("马吃草。", "草是马的食物。")),
    ("兔子爱吃什么？", "胡萝卜。", ("兔子爱吃胡萝卜。", "胡萝卜是兔子最爱吃的。")),
    ("天空是什么颜色？", "蓝色。", ("天空是蓝色的。", "晴天的时候，天空是蓝色的。")),
    ("小草是什么颜色？", "绿色。", ("小草是绿色的。", "春天，小草是绿色的。")),
    ("雪是什么颜色？", "白色。", ("雪是白色的。", "冬天，白色的雪落下来。")),
    ("星期一后面是星期几？", "星期二。", ("星期一后面是星期二。",)),
    ("星期五后面是星期几？", "星期六。", ("星期五后面是星期六。",)),
    ("春天过后是什么季节？", "夏天。", ("春天过后是夏天。",)),
    ("夏天过后是什么季节？", "秋天。", ("夏天过后是秋天。",)),
    ("秋天过后是什么季节？", "冬天。", ("秋天过后是冬天。",)),
    ("太阳什么时候升起？", "早上。", ("太阳早上升起。", "早上，太阳升起来了。")),
    ("月亮什么时候出来？", "晚上。", ("月亮晚上出来。", "晚上，月亮出来了。")),
    ("狗有几条腿？", "四条。", ("狗有四条腿。", "狗用四条腿跑。")),
    ("鸟有几条腿？", "两条。", ("鸟有两条腿。", "鸟用两条腿跳。")),
    ("一个星期有几天？", "七天。", ("一个星期有七天。", "七天是一个星期。")),
    ("“大”的反义词是什么？", "小。", ("“大”的反义词是“小”。",)),
    ("“热”的反义词是什么？", "冷。", ("“热”的反义词是“冷”。",)),
    ("冰是什么变成的？", "水。", ("冰是水变成的。", "水冷了，就变成冰。")),
    ("下雨天要带什么？", "伞。", ("下雨天要带伞。", "伞是下雨天用的。")),
)

SYSTEMS = (
    "你是一个友好的助手，会讲故事，也会回答关于故事的问题。",
    "请用简短的话回答关于故事的问题。",
    "你是一个细心的助手，读完故事再回答问题。",
)

TALKS = (
    (("你好！", "早上好！", "嗨！"), "你好！给我讲个故事，或者让我讲一个吧。"),
    (("你是谁？", "你叫什么？"), "我是一个小小的语言模型，我喜欢故事。"),
    (("你会做什么？", "你能帮我做什么？"), "我会讲故事，也会回答问题。"),
    (("谢谢你！", "多谢！"), "不客气！"),
    (("再见！", "我走了。"), "再见！有空再来。"),
)

UNKNOWN = "故事里没有说。"

LESSONS = ("“谁认真听了？”老师问。", "接着，老师问起这个故事。")
LESSON = "“{question}”“{answer}”"

WRITES = (
    "讲一个关于{names}的故事吧。", "请给我讲一个{names}的故事。", "我想听{names}的故事。",
)  # fmt: skip


class Chinese(Language):
    """Chinese: measure words, 在 … 里, no spaces."""

    code = "zh"
    names = NAMES
    space = ""
    later = ("后来", "过了", "接着", "然后", "这时")
    together = "和"
    tell, questions, done = TELL, QUESTIONS, DONE
    openings, endings, titles = OPENINGS, ENDINGS, TITLES
    facts, systems, talks, writes = FACTS, SYSTEMS, TALKS, WRITES
    unknown, lessons, lesson = UNKNOWN, LESSONS, LESSON
    recaps, recap = RECAPS, RECAP
    pronoun = ("他", "她")
    possessive = ("他的", "她的")
    places, at, words, measures = PLACES, AT, WORDS, MEASURES
    spots, purposes, reasons = SPOTS, PURPOSES, REASONS
    numbers, verbs, jobs = NUMBERS, VERBS, JOBS
