"""What the customers write: openers and details that combine into comments, in four languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

Tone = Literal["good", "fair", "poor"]

FIRST_NAMES = (
    *("Alma", "Bela", "Cora", "Dario", "Edda", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kemal", "Lotte", "Mirja"),
    *(
        "Nadia",
        "Oskar",
        "Petra",
        "Quentin",
        "Rosa",
        "Selma",
        "Tomas",
        "Ulla",
        "Viktor",
        "Wanda",
        "Xaver",
        "Yara",
        "Zeno",
    ),
)
LAST_NAMES = (
    *("Abbot", "Birch", "Calder", "Dunmore", "Ember", "Fallow", "Garrow", "Harrow", "Ilford", "Jessop", "Kestrel"),
    *("Lark", "Marlow", "Norden", "Oakes", "Pell", "Quill", "Rowan", "Sable", "Thorne", "Umber", "Vesper", "Wilder"),
)

AGENTS = ("A. Berg", "C. Dahl", "E. Falk", "G. Holm", "K. Lund", "M. Nord", "O. Strand", "S. Vik")

SUBJECTS = {
    "Billing": ("Question about my bill", "Charged twice", "Promised discount is missing"),
    "Installations": ("New appointment for the installer", "Router does not start", "No signal at the wall socket"),
    "Retention": ("I want to cancel", "Is there a better plan?", "Moving to another address"),
    "Technical support": ("Internet is slow", "TV picture freezes", "No connection since this morning"),
}


@dataclass(frozen=True)
class Language:
    """Phrases of one language.

    `openers` hold the slot `{topic}`; `topics` names each touchpoint, and `general` what customers write about when
    no touchpoint was asked for. `details` follow an opener; `by_touchpoint` adds details of one touchpoint.
    """

    openers: Mapping[Tone, tuple[str, ...]]
    details: Mapping[Tone, tuple[str, ...]]
    topics: Mapping[str, str]
    general: tuple[str, ...]
    by_touchpoint: Mapping[str, Mapping[Tone, tuple[str, ...]]]
    space: str = " "


def comments(language: str, touchpoint: str, tone: Tone) -> list[str]:
    """Return every comment the phrases allow, in a fixed order; an empty touchpoint means the company at large.

    >>> comments("zh", "Payment", "good")[0]
    '对付款过程很满意。谢谢。'
    """
    words = LANGUAGES[language]
    topics = (words.topics[touchpoint],) if touchpoint else words.general
    details = words.by_touchpoint.get(touchpoint, {}).get(tone) or words.details[tone]
    return [
        words.space.join((opener.format(topic=topic), detail)).strip()
        for opener, topic, detail in product(words.openers[tone], topics, details)
    ]


def reviews(language: str, tone: Tone) -> list[str]:
    """Return every public review the phrases allow, in a fixed order.

    >>> reviews("es", "good")[0]
    'Muy buen internet. Lo recomiendo.'
    """
    openers, details = _REVIEWS[language, tone]
    return [f"{opener} {detail}".strip() for opener, detail in product(openers, details)]


_ENGLISH = Language(
    openers={
        "good": (
            "Very happy with {topic}.",
            "No complaints about {topic}!",
            "I was pleasantly surprised by {topic}.",
            "Everything about {topic} went well.",
            "Honestly, {topic} was better than I expected.",
            "Great experience with {topic}.",
        ),
        "fair": (
            "It was ok.",
            "About {topic}: not bad, not great.",
            "I have mixed feelings about {topic}.",
            "Nothing special about {topic}.",
            "With {topic} I got there in the end.",
        ),
        "poor": (
            "Not happy with {topic}.",
            "I am really disappointed by {topic}.",
            "Two words about {topic}: never again.",
            "You need to fix {topic}.",
            "I expected more from {topic}.",
            "My opinion of {topic}?\nPoor.",
        ),
    },
    details={
        "good": (
            "It just works.",
            "Fair price, fast line.",
            "Thank you.",
            "Would recommend you to my neighbours.",
            "Keep it up!",
            "",
        ),
        "fair": (
            "Could be cheaper for what it is.",
            'Some evenings it is slow, the rest of the day it is "fine".',
            "You could keep me better informed.",
            "Room for improvement.",
            "",
        ),
        "poor": (
            "The price went up again, and the speed did not.",
            "It drops out every evening around eight.",
            "Nobody takes responsibility.",
            "I have told you this three times already.",
            "I am looking at other providers now.",
            "",
        ),
    },
    topics={
        "Website order": "ordering on the website",
        "Shop visit": "my visit to your shop",
        "Installation visit": "the installation visit",
        "Self-install kit": "the self-install kit",
        "Outage notice": "the notice about the outage",
        "Plan change": "changing my plan",
        "Support call": "the support call",
        "Technician visit": "the technician's visit",
        "Help pages": "the help pages",
        "First bill": "my first bill",
        "Payment": "paying my bill",
        "Cancellation": "cancelling",
    },
    general=("the internet connection", "the TV service", "your service", "the monthly price", "the Wi-Fi at home"),
    by_touchpoint={
        "Website order": {
            "good": ("Done in five minutes.", "Clear prices, no surprises.", "I liked that I could pick the date."),
            "fair": ("The address check took two attempts.", "Too many extras offered on the way.", ""),
            "poor": ("The page lost my order twice.", "The final price was not the advertised one.", ""),
        },
        "Shop visit": {
            "good": (
                "The assistant took her time.",
                "I left with exactly what I needed.",
                "Short queue, friendly people.",
            ),
            "fair": ("Long queue, friendly people.", "They had to call someone for the answer.", ""),
            "poor": ("Nobody could answer my question.", "I waited almost an hour.", "They only wanted to sell me TV."),
        },
        "Installation visit": {
            "good": (
                "The installer was on time and tidy.",
                "He explained the router and checked every room.",
                "Up and running within the hour.",
            ),
            "fair": ("He came late but did a good job.", "I had to move the furniture myself.", ""),
            "poor": (
                "The installer never came and nobody called.",
                "I took a day off for nothing.",
                "He left before the internet worked.",
                "They drilled in the wrong place and left the dust.",
                "Third appointment, still not connected.",
                "",
            ),
        },
        "Self-install kit": {
            "good": ("Plug in, wait, done.", "The pictures in the booklet are very clear."),
            "fair": ("It worked at the second try.", "The cable is a little short.", ""),
            "poor": ("The booklet shows a different router.", "A cable was missing from the box.", ""),
        },
        "Outage notice": {
            "good": ("I knew before I noticed it myself.", "The time given was right."),
            "fair": ("The message came late, but it came.", "It did not say for how long.", ""),
            "poor": ("No message at all, I had to ask a neighbour.", "It was out for hours longer than you said.", ""),
        },
        "Plan change": {
            "good": ("More speed the same day.", "Two clicks and it was done."),
            "fair": ("I would have liked a comparison of the plans.", "It took a week to take effect.", ""),
            "poor": ("I was moved to a plan I did not ask for.", "The old discount was gone afterwards.", ""),
        },
        "Support call": {
            "good": (
                "She stayed on the line until it worked.",
                "Solved at the first call.",
                "Polite, patient, competent.",
                "Hardly any waiting.",
            ),
            "fair": ("Friendly, but I had to explain it twice.", "The waiting music could be better.", ""),
            "poor": (
                "Forty minutes on hold.",
                "I was passed on four times.",
                "They read from a script and hung up.",
                "The promised call back never came.",
                "",
            ),
        },
        "Technician visit": {
            "good": (
                "He found the fault within minutes.",
                "Very knowledgeable and kind.",
                "He even tidied the cables.",
            ),
            "fair": ("He needed a second visit for the part.", "The time window was very wide.", ""),
            "poor": ("The fault was back the next day.", "He did not have the right part with him.", ""),
        },
        "Help pages": {
            "good": ("Found the answer right away.", "The video helped a lot."),
            "fair": ("The answer is there, but well hidden.", "Search could be better.", ""),
            "poor": ("Going in circles, no answer.", "The steps are for an old router.", ""),
        },
        "First bill": {
            "good": ("Exactly what was agreed.", "Easy to understand."),
            "fair": ("I needed a moment to understand the part month.", "More lines than necessary.", ""),
            "poor": (
                "A fee nobody told me about.",
                "The promised discount is missing.",
                "Charged twice for setup.",
                "",
            ),
        },
        "Payment": {
            "good": ("Automatic payment works fine.", "Quick and safe."),
            "fair": ("I miss my usual way of paying.", "The reminder came too early.", ""),
            "poor": ("My card was declined for no reason.", "A late fee although I paid on time.", ""),
        },
        "Cancellation": {
            "good": ("No tricks, thank you for that.", "Sorry to go, you were good to me."),
            "fair": ("Returning the router was a bit of a chore.", "One offer too many on the way out.", ""),
            "poor": ("They made me call three times.", "You still charged me for another month.", ""),
        },
    },
)

_SPANISH = Language(
    openers={
        "good": ("Muy bien {topic}.", "Quedé contento con {topic}.", "Todo perfecto con {topic}.", "Me gustó {topic}."),
        "fair": ("Regular {topic}.", "Con {topic}, ni bien ni mal.", "Se puede mejorar {topic}."),
        "poor": ("Muy mal {topic}.", "No estoy contento con {topic}.", "Qué decepción {topic}.", "Así no, {topic}..."),
    },
    details={
        "good": ("Gracias por todo.", "Rápido y amable.", "Lo recomiendo.", "Sigan así.", ""),
        "fair": ("Podría ser más barato.", "A veces va lento.", "Falta información en español.", ""),
        "poor": (
            "Nadie me da una solución.",
            "Llevo semanas esperando.",
            "Pago mucho y se corta cada noche.",
            "Estoy pensando en cambiar de compañía.",
            "",
        ),
    },
    topics={
        "Website order": "el pedido por la página web",
        "Shop visit": "la visita a la tienda",
        "Installation visit": "la visita de instalación",
        "Self-install kit": "el kit de autoinstalación",
        "Outage notice": "el aviso del corte",
        "Plan change": "el cambio de plan",
        "Support call": "la llamada al soporte",
        "Technician visit": "la visita del técnico",
        "Help pages": "las páginas de ayuda",
        "First bill": "la primera factura",
        "Payment": "el pago de la factura",
        "Cancellation": "la baja del servicio",
    },
    general=("el internet", "el servicio", "la televisión", "el precio"),
    by_touchpoint={
        "Installation visit": {
            "good": ("El instalador llegó a la hora.", "Dejó todo limpio y funcionando.", ""),
            "poor": (
                "El instalador nunca llegó.",
                "Perdí un día de trabajo.",
                "Se fue y el internet no funcionaba.",
                "",
            ),
        },
        "Support call": {
            "good": ("Me lo resolvieron en una llamada.", "Muy paciente la señorita.", ""),
            "poor": ("Media hora esperando en línea.", "Me pasaron de una persona a otra.", ""),
        },
    },
)

_CHINESE = Language(
    openers={
        "good": ("对{topic}很满意。", "{topic}很顺利。", "{topic}比我想的好。"),
        "fair": ("{topic}还可以。", "{topic}一般般。", "{topic}有待改进。"),
        "poor": ("对{topic}不满意。", "{topic}太差了。", "{topic}让我很失望。"),
    },
    details={
        "good": ("谢谢。", "服务态度很好。", "会推荐给朋友。", "网速很快。", ""),
        "fair": ("价格有点贵。", "晚上网速有点慢。", "希望有更多中文说明。", ""),
        "poor": ("等了很久没有人处理。", "每天晚上都断线。", "问题一直没有解决。", "准备换一家公司。", ""),
    },
    topics={
        "Website order": "网上订购",
        "Shop visit": "门店服务",
        "Installation visit": "上门安装",
        "Self-install kit": "自助安装套件",
        "Outage notice": "停网通知",
        "Plan change": "更换套餐",
        "Support call": "客服电话",
        "Technician visit": "上门维修",
        "Help pages": "帮助网页",
        "First bill": "第一张账单",
        "Payment": "付款过程",
        "Cancellation": "取消服务",
    },
    general=("网络", "你们的服务", "电视节目", "每月的费用"),
    by_touchpoint={"Installation visit": {"poor": ("师傅没有来,也没有打电话。", "装完还是上不了网。", "白等了一天。")}},
    space="",
)

_VIETNAMESE = Language(
    openers={
        "good": ("Tôi rất hài lòng về {topic}.", "Mọi thứ về {topic} đều tốt.", "Tôi thích {topic}."),
        "fair": ("Tôi thấy {topic} tạm được.", "Về {topic} thì bình thường."),
        "poor": ("Tôi không hài lòng về {topic}.", "Tôi thất vọng về {topic}."),
    },
    details={
        "good": ("Cảm ơn.", "Nhân viên rất thân thiện.", "Mạng nhanh và ổn định.", ""),
        "fair": ("Giá hơi cao.", "Buổi tối mạng hơi chậm.", ""),
        "poor": ("Tối nào cũng mất mạng.", "Tôi chờ rất lâu mà không ai giúp.", ""),
    },
    topics={},  # the Vietnamese questionnaire asks about the company at large only
    general=("dịch vụ", "mạng internet", "truyền hình", "giá cước"),
    by_touchpoint={},
)

LANGUAGES: Mapping[str, Language] = {"en": _ENGLISH, "es": _SPANISH, "zh": _CHINESE, "vi": _VIETNAMESE}

# What public reviews say: openers and details.
_REVIEWS: Mapping[tuple[str, Tone], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("en", "good"): (
        (
            "Great internet and a fair price.",
            "Best provider I have had so far.",
            "Really happy since we switched to Halden.",
            "Fast, reliable and easy to set up.",
            "Five years a customer and still satisfied.",
            "Love the speed!",
        ),
        (
            "The installer was friendly and on time.",
            "Support helped me within minutes.",
            "No outage that I noticed.",
            "Highly recommended.",
            "The app is excellent.",
            "",
        ),
    ),
    ("en", "fair"): (
        (
            "It is internet, it works most of the time.",
            "Average, like all the others.",
            "Decent speed, but the bill keeps growing.",
            "Three stars: good line, slow support.",
            "Neither good nor bad.",
        ),
        (
            "The evenings could be faster.",
            "They answered after two days.",
            "The price is what it is.",
            "I will see how it goes.",
            "",
        ),
    ),
    ("en", "poor"): (
        (
            "Terrible service.",
            "Worst provider in town, avoid.",
            "I hate calling them.",
            "Awful, the line fails every evening.",
            "Disappointed after only three months.",
            "A waste of money.",
        ),
        (
            "The installer never came.",
            "Charged twice and nobody cares.",
            "Support is rude and useless.",
            "I am angry and I am leaving.",
            "Weeks of problems, no solution.",
            "",
        ),
    ),
    ("es", "good"): (
        ("Muy buen internet.", "Contentos con Halden.", "Rápido y sin cortes."),
        ("Lo recomiendo.", "El técnico fue muy amable.", ""),
    ),
    ("es", "fair"): (
        ("Normal, como todos.", "Ni bien ni mal."),
        ("De noche va lento.", "El precio sube cada año.", ""),
    ),
    ("es", "poor"): (
        ("Muy mal servicio.", "Se corta cada noche.", "No se lo recomiendo a nadie."),
        ("Nadie contesta.", "Me cobraron dos veces.", ""),
    ),
}
