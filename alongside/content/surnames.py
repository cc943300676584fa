"""Chinese surnames: which first characters of a name are one, and how they are written in English.

Surnames with two customary readings (乐, 盖, 区 as a given-name start) are left out: a wrong reading offends more than
the full name does.
"""

from __future__ import annotations

_SINGLE = (
    "王wang 李li 张zhang 刘liu 陈chen 杨yang 黄huang 赵zhao 吴wu 周zhou 徐xu 孙sun 马ma 朱zhu 胡hu 郭guo 何he 高gao "
    "林lin 罗luo 郑zheng 梁liang 谢xie 宋song 唐tang 许xu 韩han 冯feng 邓deng 曹cao 彭peng 曾zeng 肖xiao 田tian 董dong "
    "袁yuan 潘pan 于yu 蒋jiang 蔡cai 余yu 杜du 叶ye 程cheng 苏su 魏wei 吕lü 丁ding 任ren 沈shen 姚yao 卢lu 姜jiang "
    "崔cui 钟zhong 谭tan 陆lu 汪wang 范fan 金jin 石shi 廖liao 贾jia 夏xia 韦wei 付fu 傅fu 方fang 白bai 邹zou 孟meng "
    "熊xiong 秦qin 邱qiu 江jiang 尹yin 薛xue 闫yan 阎yan 段duan 雷lei 侯hou 龙long 史shi 陶tao 黎li 贺he 顾gu 毛mao "
    "郝hao 龚gong 邵shao 万wan 钱qian 严yan 武wu 戴dai 莫mo 孔kong 向xiang 汤tang 温wen 康kang 施shi 文wen 牛niu "
    "樊fan 葛ge 邢xing 安an 齐qi 易yi 乔qiao 伍wu 庞pang 颜yan 倪ni 庄zhuang 聂nie 章zhang 鲁lu 岳yue 申shen 殷yin "
    "詹zhan 欧ou 耿geng 关guan 焦jiao 左zuo 柳liu 甘gan 祝zhu 包bao 宁ning 尚shang 符fu 舒shu 阮ruan 柯ke 纪ji 梅mei "
    "童tong 毕bi 单shan 季ji 裴pei 霍huo 成cheng 苗miao 谷gu 盛sheng 冉ran 蓝lan 路lu 游you 辛xin 靳jin 管guan 柴chai "
    "蒙meng 鲍bao 华hua 喻yu 祁qi 蒲pu 房fang 滕teng 饶rao 牟mou 艾ai 尤you 阳yang 穆mu 司si 古gu 吉ji 凌ling 景jing "
    "项xiang 涂tu 简jian 卫wei 费fei 缪miao 沙sha 屈qu 窦dou 卜bu 岑cen 蔺lin 仇qiu 娄lou 查zha 瞿qu 骆luo 解xie "
    "佟tong 佘she 曲qu 冷leng 楼lou 连lian 晏yan 宫gong 隋sui 鞠ju 巩gong 廉lian 褚chu 郁yu 蔚wei 苟gou 花hua 应ying"
)
_COMPOUND = (
    "欧阳ouyang 司马sima 上官shangguan 诸葛zhuge 东方dongfang 皇甫huangfu 尉迟yuchi 公孙gongsun 慕容murong "
    "令狐linghu 司徒situ 夏侯xiahou 宇文yuwen 轩辕xuanyuan 南宫nangong 端木duanmu 呼延huyan 独孤dugu 西门ximen "
    "申屠shentu 太史taishi 澹台tantai 淳于chunyu 钟离zhongli 司空sikong 拓跋tuoba 公冶gongye 濮阳puyang 闻人wenren "
    "万俟moqi 赫连helian 百里baili 东郭dongguo 闾丘lüqiu 长孙zhangsun 鲜于xianyu 宗政zongzheng 司寇sikou"
)


def _table(text: str, length: int) -> dict[str, str]:
    return {entry[:length]: entry[length:].capitalize() for entry in text.split()}


#: One Han character -> its spelling in English, for example 张 -> Zhang.
SINGLE: dict[str, str] = _table(_SINGLE, 1)
#: Two Han characters -> spelling, for example 欧阳 -> Ouyang.
COMPOUND: dict[str, str] = _table(_COMPOUND, 2)
#: Spellings in lower case without umlaut marks, to tell which part of a Latin name is the surname.
SPELLINGS: frozenset[str] = frozenset(
    spelling.lower().replace("ü", "u") for spelling in (*SINGLE.values(), *COMPOUND.values())
)


def han_surname(name: str) -> str | None:
    """The surname at the start of a name in Han characters, or None where it cannot be told."""
    if name[:2] in COMPOUND and len(name) <= 4:
        return name[:2]
    if name[:1] in SINGLE and len(name) <= 3:
        return name[:1]
    return None
