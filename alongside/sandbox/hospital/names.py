"""Fictional names: combined from common surnames and given-name characters, with pinyin for e-mail addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital.draws import Draws, Flags, Ints


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((word.split(":")[0], word.split(":")[1]) for word in text.split())


SURNAMES = _pairs(
    "王:wang 李:li 张:zhang 刘:liu 陈:chen 杨:yang 黄:huang 赵:zhao 吴:wu 周:zhou 徐:xu 孙:sun 马:ma 朱:zhu "
    "胡:hu 郭:guo 何:he 林:lin 高:gao 罗:luo 郑:zheng 梁:liang 谢:xie 宋:song 唐:tang 许:xu 邓:deng 韩:han "
    "冯:feng 曹:cao 彭:peng 曾:zeng 肖:xiao 田:tian 董:dong 潘:pan 袁:yuan 蔡:cai 蒋:jiang 余:yu 于:yu 杜:du "
    "叶:ye 程:cheng 魏:wei 苏:su 吕:lv 丁:ding 任:ren 卢:lu 姚:yao 沈:shen 钟:zhong 姜:jiang 崔:cui 谭:tan "
    "陆:lu 范:fan 汪:wang 廖:liao 石:shi 金:jin 贾:jia 韦:wei 夏:xia 付:fu 方:fang 邹:zou 熊:xiong 白:bai "
    "孟:meng 秦:qin 欧阳:ouyang 司马:sima 上官:shangguan 诸葛:zhuge 夏侯:xiahou"
)
MALE = _pairs(
    "伟:wei 强:qiang 磊:lei 军:jun 勇:yong 杰:jie 涛:tao 明:ming 超:chao 刚:gang 平:ping 辉:hui 鹏:peng "
    "华:hua 飞:fei 鑫:xin 波:bo 斌:bin 宇:yu 浩:hao 凯:kai 健:jian 俊:jun 帆:fan 帅:shuai 旭:xu 宁:ning "
    "龙:long 林:lin 阳:yang 建国:jianguo 志强:zhiqiang 国庆:guoqing 海:hai 峰:feng 亮:liang 东:dong 文:wen "
    "成:cheng 康:kang 山:shan 松:song 远:yuan 博:bo 昊:hao 天:tian 宏:hong 德:de 义:yi 庆:qing 福:fu 祥:xiang "
    "贵:gui 荣:rong 春:chun 安:an 维:wei 思:si"
)
FEMALE = _pairs(
    "芳:fang 娜:na 敏:min 静:jing 丽:li 艳:yan 娟:juan 霞:xia 燕:yan 玲:ling 萍:ping 红:hong 梅:mei 莉:li "
    "兰:lan 英:ying 慧:hui 雪:xue 琳:lin 婷:ting 倩:qian 洁:jie 颖:ying 琴:qin 云:yun 莹:ying 欣:xin 怡:yi "
    "佳:jia 蕾:lei 秀兰:xiulan 桂英:guiying 淑珍:shuzhen 玉:yu 凤:feng 琼:qiong 菊:ju 珍:zhen 蓉:rong 月:yue "
    "晴:qing 瑶:yao 露:lu 璐:lu 彤:tong 可:ke 雅:ya 诗:shi 涵:han 梦:meng 楠:nan 薇:wei 素:su 巧:qiao 翠:cui "
    "惠:hui 春:chun 秋:qiu 冬:dong 文:wen"
)
FOREIGN_SURNAMES = _words(
    "Ashgrove Bellmere Carraway Dunhollow Elmsworth Fairbrook Greyfield Hawthornby Ingleside Juniperson "
    "Kettlewell Larkmoor Merrywick Northvale Oakhurst Pennyford Quillby Rosedene Silverton Thistledown "
    "Underhay Vellacourt Willowby Yarrowfield Montclaire Sauvigne Lindqvarn Okoraye Tanemura Haverkoorn"
)
FOREIGN_MALE = _words(
    "Adam Ben Carl David Erik Frank George Henry Ivan Jack Kenji Liam Marc Noah Oscar Paul Quentin Ravi "
    "Samuel Tomas Victor William"
)
FOREIGN_FEMALE = _words(
    "Anna Bella Clara Diana Emma Fiona Grace Hanna Irene Julia Karin Laura Maria Nina Olivia Paula Rosa Sara "
    "Tessa Uma Vera Yuki"
)
#: Given names of two characters need no second one; row 0 women, row 1 men.
_TWO_CHARACTERS = np.array(
    [[len(text) > 1 for text, _ in words[: min(len(MALE), len(FEMALE))]] for words in (FEMALE, MALE)]
)


@dataclass(frozen=True)
class Names:
    """Positions in the lists above; text is made when it is needed.

    `second` is the second given-name character, or -1 for names with one.
    """

    surname: Ints
    first: Ints
    second: Ints
    male: Flags
    foreign: Flags

    def take(self, rows: Ints) -> Names:
        return Names(self.surname[rows], self.first[rows], self.second[rows], self.male[rows], self.foreign[rows])

    def written(self) -> pa.Array:
        """As the person writes it: family name first in Chinese, last in English."""
        chinese = pc.binary_join_element_wise(
            _text(SURNAMES, self.surname, 0), self._given(self.first, 0), self._given(self.second, 0), ""
        )
        foreign = pc.binary_join_element_wise(self._foreign_first(), _plain(FOREIGN_SURNAMES, self.surname), " ")
        return pc.if_else(pa.array(self.foreign), foreign, chinese)

    def latin(self) -> pa.Array:
        """Lower-case `given.surname` in Latin letters, for an address."""
        given = pc.binary_join_element_wise(self._given(self.first, 1), self._given(self.second, 1), "")
        chinese = pc.binary_join_element_wise(given, _text(SURNAMES, self.surname, 1), ".")
        foreign = pc.binary_join_element_wise(self._foreign_first(), _plain(FOREIGN_SURNAMES, self.surname), ".")
        return pc.if_else(pa.array(self.foreign), pc.utf8_lower(foreign), chinese)

    def _given(self, position: Ints, part: int) -> pa.Array:
        male, female = _text(MALE, position, part), _text(FEMALE, position, part)
        chosen = pc.if_else(pa.array(self.male), male, female)
        return pc.if_else(pa.array(position < 0), "", chosen)

    def _foreign_first(self) -> pa.Array:
        male, female = _plain(FOREIGN_MALE, self.first), _plain(FOREIGN_FEMALE, self.first)
        return pc.if_else(pa.array(self.male), male, female)


def draw_names(draws: Draws, index: Ints, male: Flags, foreign: Flags) -> Names:
    """Common surnames are common: their frequency falls with their rank. One given character for a fifth."""
    rank = draws.uniform("name/surname", index) ** 1.8
    given = min(len(MALE), len(FEMALE))
    first = draws.between("name/first", 0, given, index)
    second = draws.between("name/second", 0, given, index)
    long = _TWO_CHARACTERS[male.astype(np.int64), first] | _TWO_CHARACTERS[male.astype(np.int64), second]
    single = draws.chance("name/single", 0.2, index) | long
    return Names(
        surname=(rank * len(SURNAMES)).astype(np.int64),
        first=first,
        second=np.where(single, -1, second),
        male=male,
        foreign=foreign,
    )


def with_typo(draws: Draws, label: str, names: Names, index: Ints, wrong: Flags) -> Names:
    """The names as a hurried clerk types them: another last character where `wrong`."""
    given = min(len(MALE), len(FEMALE))
    shift = draws.between(label + "/shift", 1, given, index)
    single = names.second < 0
    first = np.where(wrong & (single | names.foreign), (names.first + shift) % given, names.first)
    second = np.where(wrong & ~single, (names.second + shift) % given, names.second)
    return Names(names.surname, first, second, names.male, names.foreign)


def _text(pairs: tuple[tuple[str, str], ...], position: Ints, part: int) -> Any:
    return _plain(tuple(pair[part] for pair in pairs), position)


def _plain(words: tuple[str, ...], position: Ints) -> Any:
    return pa.array(words).take(pa.array(position % len(words)))
